// What a decoder process may do to the server's GPU.
#pragma once

#include <string>

#include "isolation/channel.h"
#include "media/clip_types.h"

// Does what `name` says instead of making a clip. Returns whether it knows the name. Does not return when the
// process ends, or when the server ended it.
bool MisbehaveOnGpu(cosmos::Channel& channel, const std::string& name, const cosmos::ClipRequest& request);
