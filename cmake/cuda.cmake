# The GPU's executor (docs/gpu.md): built where nvcc, cuDNN 9 and cuBLASLt are found. LIKENESS_CUDA=OFF leaves it out,
# ON insists. A cuDNN that lies elsewhere (as in PyTorch's wheels) is named by LIKENESS_CUDNN_ROOT.
set(LIKENESS_CUDA AUTO CACHE STRING "The executor for NVIDIA GPUs: AUTO, ON or OFF")
set(LIKENESS_CUDA_ROOT /usr/local/cuda CACHE PATH "Where bin/nvcc, include and lib64 lie, unless nvcc is on the PATH")
set(LIKENESS_CUDNN_ROOT ${LIKENESS_CUDA_ROOT} CACHE PATH "Where include/cudnn.h and lib/libcudnn.so.9 lie")
set(LIKENESS_CUBLAS_ROOT ${LIKENESS_CUDA_ROOT} CACHE PATH "Where include/cublasLt.h and lib/libcublasLt.so.13 lie")
set(LIKENESS_NCCL_ROOT ${LIKENESS_CUDA_ROOT} CACHE PATH "Where include/nccl.h and lib/libnccl.so.2 lie")
set(LIKENESS_CUDA_ARCHITECTURES "75;80;86;89;90" CACHE STRING
    "Compute capabilities that nvcc makes machine code for; of the last, PTX for later cards too")

# CUDA is no language of this project: one file needs nvcc, and everything is linked as C.
function(lk_add_cuda)
  if(LIKENESS_CUDA STREQUAL "OFF")
    return()
  endif()
  find_program(LIKENESS_NVCC nvcc HINTS ${LIKENESS_CUDA_ROOT}/bin)
  find_path(LIKENESS_CUDA_INCLUDE cuda_runtime.h HINTS ${LIKENESS_CUDA_ROOT}/include)
  find_library(LIKENESS_CUDART cudart_static HINTS ${LIKENESS_CUDA_ROOT}/lib64 ${LIKENESS_CUDA_ROOT}/lib)
  find_path(LIKENESS_CUDNN_INCLUDE cudnn_backend.h HINTS ${LIKENESS_CUDNN_ROOT}/include)
  find_library(LIKENESS_CUDNN NAMES cudnn libcudnn.so.9 HINTS ${LIKENESS_CUDNN_ROOT}/lib64 ${LIKENESS_CUDNN_ROOT}/lib)
  find_path(LIKENESS_CUBLAS_INCLUDE cublasLt.h HINTS ${LIKENESS_CUBLAS_ROOT}/include)
  find_library(LIKENESS_CUBLAS NAMES cublasLt libcublasLt.so.13
               HINTS ${LIKENESS_CUBLAS_ROOT}/lib64 ${LIKENESS_CUBLAS_ROOT}/lib)
  foreach(part NVCC CUDA_INCLUDE CUDART CUDNN_INCLUDE CUDNN CUBLAS_INCLUDE CUBLAS)
    if(NOT LIKENESS_${part})
      if(LIKENESS_CUDA STREQUAL "ON")
        message(FATAL_ERROR "LIKENESS_CUDA is ON, but LIKENESS_${part} is not found")
      endif()
      message(STATUS "Without GPU: LIKENESS_${part} is not found")
      return()
    endif()
  endforeach()

  # Several GPUs train together where there is NCCL.
  find_path(LIKENESS_NCCL_INCLUDE nccl.h HINTS ${LIKENESS_NCCL_ROOT}/include)
  find_library(LIKENESS_NCCL NAMES nccl libnccl.so.2 HINTS ${LIKENESS_NCCL_ROOT}/lib64 ${LIKENESS_NCCL_ROOT}/lib)
  if(LIKENESS_NCCL_INCLUDE AND LIKENESS_NCCL)
    target_include_directories(lk_nn SYSTEM PRIVATE ${LIKENESS_NCCL_INCLUDE})
    target_compile_definitions(lk_nn PRIVATE LIKENESS_NCCL LIKENESS_NCCL_PATH="${LIKENESS_NCCL}")
  endif()

  # The libraries are loaded at run time (src/nn/cuda/libraries.h).
  set(flags -std=c++17 -O3 -Xcompiler=-fPIC,-fno-exceptions,-fno-threadsafe-statics,-Wall,-Wextra -I${CMAKE_SOURCE_DIR}/include
            -isystem ${LIKENESS_CUDA_INCLUDE})
  foreach(arch ${LIKENESS_CUDA_ARCHITECTURES})
    list(APPEND flags -gencode arch=compute_${arch},code=sm_${arch})
    set(last ${arch})
  endforeach()
  list(APPEND flags -gencode arch=compute_${last},code=compute_${last})
  if(LIKENESS_WERROR)
    list(APPEND flags -Werror=all-warnings)
  endif()
  set(source ${CMAKE_SOURCE_DIR}/src/nn/cuda/kernels.cu)
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/nn/cuda/*.h)
  add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/kernels.o COMMAND ${LIKENESS_NVCC} ${flags} -c ${source} -o kernels.o
                     DEPENDS ${source} ${headers} ${CMAKE_SOURCE_DIR}/include/likeness/nn.h
                             ${CMAKE_SOURCE_DIR}/src/nn/internal.h
                     COMMENT "Compiling GPU kernels for ${LIKENESS_CUDA_ARCHITECTURES}" VERBATIM COMMAND_EXPAND_LISTS)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/nn/cuda/*.c)
  target_sources(lk_nn PRIVATE ${sources} ${CMAKE_BINARY_DIR}/kernels.o)
  target_include_directories(lk_nn SYSTEM PRIVATE ${LIKENESS_CUDA_INCLUDE} ${LIKENESS_CUDNN_INCLUDE}
                                                  ${LIKENESS_CUBLAS_INCLUDE})
  target_compile_definitions(lk_nn PRIVATE LIKENESS_CUDA LIKENESS_CUDNN_PATH="${LIKENESS_CUDNN}"
                                            LIKENESS_CUBLAS_PATH="${LIKENESS_CUBLAS}")
  target_link_libraries(lk_nn PUBLIC ${LIKENESS_CUDART} Threads::Threads ${CMAKE_DL_LIBS} rt)
  set(LIKENESS_HAS_CUDA TRUE PARENT_SCOPE)
endfunction()
