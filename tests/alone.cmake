# Of nn built alone: the tests that need nothing but a C compiler (and those of the GPU), judged by PyTorch's values, which
# the build makes first.
set(LIKENESS_GOLDEN ${CMAKE_BINARY_DIR}/golden)
file(MAKE_DIRECTORY ${LIKENESS_GOLDEN})
set(golden ${CMAKE_CURRENT_SOURCE_DIR}/golden)
foreach(values nn_ops.txt nn_factored.bin)
  get_filename_component(script ${values} NAME_WE)
  add_custom_command(OUTPUT ${LIKENESS_GOLDEN}/${values}
                     COMMAND ${LIKENESS_PYTHON} ${golden}/${script}.py ${LIKENESS_GOLDEN}
                     DEPENDS ${golden}/${script}.py VERBATIM)
  list(APPEND LIKENESS_GOLDENS ${LIKENESS_GOLDEN}/${values})
endforeach()
add_custom_target(golden ALL DEPENDS ${LIKENESS_GOLDENS})
foreach(test test_ops test_device)
  add_executable(nn_${test} nn/${test}.c)
  target_include_directories(nn_${test} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/src/nn)
  target_compile_definitions(nn_${test} PRIVATE LK_GOLDEN="${LIKENESS_GOLDEN}")
  target_link_libraries(nn_${test} PRIVATE lk_nn lk_base ${LIKENESS_CMOCKA} m)
  add_test(NAME nn_${test} COMMAND nn_${test})
endforeach()
include(gpu.cmake)
