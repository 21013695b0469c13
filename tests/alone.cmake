# Of nn built alone: the tests that need nothing but a C compiler (and those of the GPU), judged by PyTorch's values, which
# the build makes first.
set(LIKENESS_GOLDEN ${CMAKE_BINARY_DIR}/golden)
file(MAKE_DIRECTORY ${LIKENESS_GOLDEN})
set(golden ${CMAKE_CURRENT_SOURCE_DIR}/golden/nn_ops.py)
add_custom_command(OUTPUT ${LIKENESS_GOLDEN}/nn_ops.txt COMMAND ${LIKENESS_PYTHON} ${golden} ${LIKENESS_GOLDEN}
                   DEPENDS ${golden} VERBATIM)
add_custom_target(golden ALL DEPENDS ${LIKENESS_GOLDEN}/nn_ops.txt)
foreach(test test_ops test_device)
  add_executable(nn_${test} nn/${test}.c)
  target_include_directories(nn_${test} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/src/nn)
  target_compile_definitions(nn_${test} PRIVATE LK_GOLDEN="${LIKENESS_GOLDEN}")
  target_link_libraries(nn_${test} PRIVATE lk_nn lk_base ${LIKENESS_CMOCKA} m)
  add_test(NAME nn_${test} COMMAND nn_${test})
endforeach()
include(gpu.cmake)
