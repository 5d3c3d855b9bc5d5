// The seed corpus of the messages between the server's process and a decoder process.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace cosmos::fuzz {

// Names and bytes, as targets/messages.cc reads them.
std::vector<std::pair<std::string, std::string>> MessageSeeds();

}  // namespace cosmos::fuzz
