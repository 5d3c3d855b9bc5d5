// The decoder process's side: takes requests from the channel, decodes, answers.
#pragma once

#include "isolation/channel.h"

namespace cosmos {

// Returns when the other side has closed the channel or broken the protocol. The caller ends the process at
// once, whatever a decode is doing.
void ServeDecoder(Channel& channel);

}  // namespace cosmos
