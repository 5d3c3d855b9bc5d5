# For cmake-js: the compilers that scripts/prebuild/toolchain.mjs wrote, found by PATH.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR $ENV{COSMOS_PROCESSOR})
set(CMAKE_CXX_COMPILER zig-c++)
set(CMAKE_MODULE_LINKER_FLAGS_INIT -s)
set(CMAKE_EXE_LINKER_FLAGS_INIT -s)
# Checks compile and do not link: zig would build the C++ library for them first, without optimisation, and then once more.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_CXX_COMPILER_ID_TEST_FLAGS_FIRST -c)
