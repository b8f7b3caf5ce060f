// SPDX-License-Identifier: Apache-2.0
// Small replacements for parts of protobuf that pull much code into the binary. protobuf's own logging is in an object
// file that every program links. It formats with std::ostringstream, which pulls in the locales of libstdc++: 400 kB
// that the agent never uses. Defining these symbols here keeps that object file out of the link.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <google/protobuf/extension_set.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/stubs/status.h>
#include <google/protobuf/stubs/stringpiece.h>

#include <cstdlib>
#include <stdexcept>

#include "base/log.h"

namespace google::protobuf::internal {

LogMessage::LogMessage(LogLevel level, const char* filename, int line)
    : level_(level), filename_(filename), line_(line) {}

LogMessage::~LogMessage() = default;

LogMessage& LogMessage::operator<<(const std::string& value) {
  message_ += value;
  return *this;
}

LogMessage& LogMessage::operator<<(const char* value) {
  message_ += value;
  return *this;
}

LogMessage& LogMessage::operator<<(int value) {
  message_ += fmt::to_string(value);
  return *this;
}

LogMessage& LogMessage::operator<<(unsigned int value) {
  message_ += fmt::to_string(value);
  return *this;
}

LogMessage& LogMessage::operator<<(unsigned long value) {  // NOLINT(google-runtime-int): the library's signature
  message_ += fmt::to_string(value);
  return *this;
}

void LogMessage::Finish() {
  const auto level = level_ >= LOGLEVEL_ERROR ? kata::log::Level::kError : kata::log::Level::kWarning;
  kata::log::Write(level, fmt::format("protobuf: {} ({}:{})", message_, filename_, line_));
  // Throws, as the original does: the call in progress fails, and the agent goes on.
  if (level_ == LOGLEVEL_FATAL) throw std::runtime_error(message_);
}

void LogFinisher::operator=(LogMessage& other) { other.Finish(); }

// Support for protobuf's extensions would be another 130 kB. The protocol has no extensions.
const char* ExtensionSet::ParseField(uint64_t, const char*, const MessageLite*, InternalMetadata*, ParseContext*) {
  std::abort();
}

uint8_t* ExtensionSet::_InternalSerializeImpl(const MessageLite*, int, int, uint8_t*, io::EpsCopyOutputStream*) const {
  std::abort();
}

}  // namespace google::protobuf::internal

namespace google::protobuf {

// Defined here because the original is in the same object file as the logging.
uint32_t ghtonl(uint32_t value) { return htonl(value); }

}  // namespace google::protobuf
