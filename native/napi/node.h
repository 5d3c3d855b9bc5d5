// The only place that includes a Node header. The switches that shape it (NAPI_VERSION, C++ exceptions) are
// set for the whole addon in CMakeLists.txt.
#pragma once

#include <napi.h>
