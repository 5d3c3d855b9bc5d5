# For cmake-js: the compilers that scripts/prebuild/toolchain.mjs wrote, found by PATH.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR $ENV{COSMOS_PROCESSOR})
set(CMAKE_CXX_COMPILER zig-c++)
set(CMAKE_MODULE_LINKER_FLAGS_INIT -s)
