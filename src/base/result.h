// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value or an Error. The message of an Error goes from what was tried down to why it failed.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <type_traits>
#include <utility>

namespace kata {

// The kind of a failure. The numbers are gRPC's status codes, which ttRPC carries on the wire.
enum class Code {
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
};

// One failure: its kind, the errno that caused it (0: none), and a message of the form "outer: inner: why".
class Error {
 public:
  Error() : Error(Code::kUnknown, "unknown error") {}  // asio::co_spawn default-constructs a coroutine's result type
  Error(Code code, std::string message, int sys = 0) : code_(code), sys_(sys), message_(std::move(message)) {}

  Code code() const { return code_; }
  int sys() const { return sys_; }
  const std::string& message() const { return message_; }

  // Prepends "what: " to the message.
  void AddContext(std::string_view what) { message_ = fmt::format("{}: {}", what, message_); }

 private:
  Code code_;
  int sys_;
  std::string message_;
};

template <typename T = void>
using Result = tl::expected<T, Error>;

// The Code for an errno: ENOENT gives kNotFound, EEXIST gives kAlreadyExists, and so on; kUnknown for the rest.
Code CodeOfErrno(int sys);

// The English text of an errno; independent of the locale, and thread-safe.
std::string ErrnoText(int sys);

// return Fail(Code::kNotFound, "container {} does not exist", id);
template <typename... Args>
tl::unexpected<Error> Fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error(code, fmt::format(format, std::forward<Args>(args)...)));
}

// return FailWith(ENOENT, "cannot open {}", path);   gives "cannot open /x: No such file or directory"
template <typename... Args>
tl::unexpected<Error> FailWith(int sys, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error(
      CodeOfErrno(sys), fmt::format("{}: {}", fmt::format(format, std::forward<Args>(args)...), ErrnoText(sys)), sys));
}

// As FailWith, with the current errno. Evaluating the arguments must not change errno.
template <typename... Args>
tl::unexpected<Error> FailErrno(fmt::format_string<Args...> format, Args&&... args) {
  return FailWith(errno, format, std::forward<Args>(args)...);
}

// Returns the result; if it is an error, prepends the formatted text and ": " to its message.
template <typename T, typename... Args>
Result<T> Context(Result<T> result, fmt::format_string<Args...> format, Args&&... args) {
  if (!result) result.error().AddContext(fmt::format(format, std::forward<Args>(args)...));
  return result;
}

namespace result_detail {
template <typename T>
T Take(Result<T>&& result) {
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}
}  // namespace result_detail

}  // namespace kata

#define KATA_CONCAT_INNER(a, b) a##b
#define KATA_CONCAT(a, b) KATA_CONCAT_INNER(a, b)

// auto fd = TRY(Open(path));   yields the value, or returns the error from the enclosing function. Not for coroutines.
#define TRY(expression)                                                               \
  ({                                                                                  \
    auto kata_try = (expression);                                                     \
    if (!kata_try) return tl::unexpected<::kata::Error>(std::move(kata_try).error()); \
    ::kata::result_detail::Take(std::move(kata_try));                                 \
  })

// CO_TRY(co_await client->Call(...));   TRY for coroutines, when the value is void or not needed.
#define CO_TRY(expression)                                                               \
  do {                                                                                   \
    auto kata_try = (expression);                                                        \
    if (!kata_try) co_return tl::unexpected<::kata::Error>(std::move(kata_try).error()); \
  } while (false)

// CO_TRY_ASSIGN(auto reply, co_await client->Call(...));   TRY for coroutines, when the value is kept.
#define CO_TRY_ASSIGN(declaration, expression) \
  CO_TRY_ASSIGN_INNER(KATA_CONCAT(kata_try_, __LINE__), declaration, expression)
#define CO_TRY_ASSIGN_INNER(name, declaration, expression)                     \
  auto name = (expression);                                                    \
  if (!name) co_return tl::unexpected<::kata::Error>(std::move(name).error()); \
  declaration = *std::move(name)
