# The GPU's executor: on a stand-in for the GPU, and on a GPU, where the tests skip when there is none.
function(lk_gpu_test name source)
  add_executable(${name} ${source})
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/src/nn)
  target_compile_definitions(${name} PRIVATE LK_TEST_GPU LK_GOLDEN="${LIKENESS_GOLDEN}")
  target_link_libraries(${name} PRIVATE lk_swap lk_nn lk_base ${LIKENESS_CMOCKA} m)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "nn;gpu" TIMEOUT 1800 SKIP_RETURN_CODE 77 FIXTURES_REQUIRED golden_nn
                                          ENVIRONMENT "OMP_WAIT_POLICY=passive;LIKENESS_CACHE=${CMAKE_BINARY_DIR}/cache")
endfunction()

set(cuda ${CMAKE_SOURCE_DIR}/src/nn/cuda)
set(executor ${cuda}/adam.c ${cuda}/executor.c ${cuda}/filters.c ${cuda}/fuse.c ${cuda}/layers.c ${cuda}/samples.c
             ${cuda}/ways.c)
foreach(test test_ops steps_gpu samples_gpu test_peers test_factored moments_gpu fused_gpu)
  string(REPLACE _gpu "" name nn_${test})
  lk_gpu_test(${name}_emulated nn/${test}.c)
  target_sources(${name}_emulated PRIVATE nn/emulator.c ${executor})
  target_compile_definitions(${name}_emulated PRIVATE LK_EMULATED)
  target_link_libraries(${name}_emulated PRIVATE OpenMP::OpenMP_C)
  if(LIKENESS_HAS_CUDA AND NOT test STREQUAL test_peers)
    lk_gpu_test(${name}_gpu nn/${test}.c)
  endif()
endforeach()

# Plain loops over points: sums may be added in any order, as a GPU does.
set_source_files_properties(nn/emulator.c PROPERTIES COMPILE_OPTIONS "-fassociative-math;-fno-signed-zeros;-fno-trapping-math;-fno-math-errno")

# Samples drawn by it.
if(TARGET lk_train)
  foreach(test test_sample described)
    set(name train_${test}_emulated)
    lk_gpu_test(${name} train/${test}.c)
    target_sources(${name} PRIVATE nn/emulator.c ${executor})
    target_compile_definitions(${name} PRIVATE LK_EMULATED)
    target_include_directories(${name} BEFORE PRIVATE ${CMAKE_SOURCE_DIR}/src/train)
    target_link_libraries(${name} PRIVATE lk_train OpenMP::OpenMP_C)
    set_tests_properties(${name} PROPERTIES LABELS train FIXTURES_REQUIRED golden_train)
  endforeach()
endif()

# The pretrained networks on both.
if(TARGET lk_face)
  foreach(where emulated gpu)
    set(name face_nets_${where})
    if(where STREQUAL "gpu" AND NOT LIKENESS_HAS_CUDA)
      continue()
    endif()
    lk_gpu_test(${name} face/nets_gpu.c)
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src/face)
    target_link_libraries(${name} PRIVATE lk_face)
    set_tests_properties(${name} PROPERTIES LABELS "face;gpu" FIXTURES_REQUIRED "")
  endforeach()
  target_sources(face_nets_emulated PRIVATE nn/emulator.c ${executor})
  target_compile_definitions(face_nets_emulated PRIVATE LK_EMULATED)
  target_link_libraries(face_nets_emulated PRIVATE OpenMP::OpenMP_C)
endif()

# The processor's layers without oneDNN.
lk_gpu_test(nn_test_ops_plain nn/test_ops.c)
target_sources(nn_test_ops_plain PRIVATE ${CMAKE_SOURCE_DIR}/src/nn/cpu/plain.c)
target_compile_definitions(nn_test_ops_plain PRIVATE LK_TEST_PLAIN)
set_target_properties(nn_test_ops_plain PROPERTIES COMPILE_OPTIONS "${LIKENESS_FAST_FLOATS}")
target_link_libraries(nn_test_ops_plain PRIVATE OpenMP::OpenMP_C)
