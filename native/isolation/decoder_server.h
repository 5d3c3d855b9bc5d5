// The decoder process's side: takes requests from the channel, decodes, answers.
#pragma once

#include "isolation/channel.h"
#include "isolation/messages.h"

namespace cosmos {

// Greets and serves. Returns the exit code of the process when the other side has closed the channel or
// broken the protocol, or when the system is short of something. The caller ends the process at once,
// whatever a decode is doing.
int ServeDecoder(Channel& channel, const Hello& hello);

}  // namespace cosmos
