// The only file that includes a Node header. CMakeLists.txt sets the macros that configure it (NAPI_VERSION,
// C++ exceptions) for the whole addon.
#pragma once

#include <napi.h>
