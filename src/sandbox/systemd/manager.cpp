// SPDX-License-Identifier: Apache-2.0
#include "sandbox/systemd/manager.h"

#include <utility>

#include "base/patience.h"

namespace kata::sandbox {
namespace {

constexpr char kService[] = "org.freedesktop.systemd1";
constexpr char kPath[] = "/org/freedesktop/systemd1";
constexpr char kInterface[] = "org.freedesktop.systemd1.Manager";
constexpr char kPropertiesInterface[] = "org.freedesktop.DBus.Properties";
// systemctl's way to systemd, which is there also where no message bus runs (yet).
constexpr char kPrivateSocket[] = "unix:path=/run/systemd/private";
// A job ends without others that contradict it; what systemctl uses by default.
constexpr char kMode[] = "replace";

Error Late(std::string_view what) { return {Code::kDeadlineExceeded, fmt::format("{}: no answer in time", what)}; }

Error BusError(int result, const sd_bus_error& error, std::string_view what) {
  const std::string_view name = error.name == nullptr ? "" : error.name;
  std::string message = fmt::format("{}: {}", what, error.message == nullptr ? ErrnoText(-result) : error.message);
  if (name.ends_with(".UnitExists")) return {Code::kAlreadyExists, std::move(message)};
  if (name.ends_with(".NoSuchUnit")) return {Code::kNotFound, std::move(message)};
  if (result == -ETIMEDOUT || name.ends_with(".NoReply") || name.ends_with(".Timeout")) return Late(what);
  return {name.empty() ? Code::kUnavailable : Code::kAborted, std::move(message), -result};
}

// The object of a unit: all but letters and digits are escaped (sd_bus_path_encode(3)).
std::string ObjectOf(const std::string& unit) {
  std::string path = fmt::format("{}/unit/", kPath);
  for (size_t i = 0; i < unit.size(); ++i) {
    const char c = unit[i];
    const bool digit = c >= '0' && c <= '9';
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    path += letter || (digit && i > 0) ? std::string(1, c) : fmt::format("_{:02x}", static_cast<unsigned char>(c));
  }
  return path;
}

}  // namespace

// An owned message. Each function does nothing after the first error, which it keeps.
struct Manager::Message {
  Message(const SdBus& library, sd_bus_message* message, const char* method)
      : library(&library), message(message), method(method) {}
  Message(Message&& other) noexcept
      : library(other.library), message(std::exchange(other.message, nullptr)), method(other.method) {}
  Message& operator=(Message&&) = delete;
  ~Message() { library->message_unref(message); }

  void Basic(char type, const void* value) {
    if (result >= 0) result = library->message_append_basic(message, type, value);
  }
  void Text(const std::string& text) { Basic('s', text.c_str()); }
  void Open(char type, const char* contents) {
    if (result >= 0) result = library->message_open_container(message, type, contents);
  }
  void Close() {
    if (result >= 0) result = library->message_close_container(message);
  }

  const SdBus* library;
  sd_bus_message* message;
  const char* method;
  int result = 0;
};

Manager::Manager(Manager&& other) noexcept
    : library_(other.library_),
      bus_(std::exchange(other.bus_, nullptr)),
      by_bus_(other.by_bus_),
      watching_(other.watching_),
      deadline_(other.deadline_),
      done_(std::move(other.done_)) {}

Manager::~Manager() { library_->flush_close_unref(bus_); }

Result<Manager> Manager::Connect(std::chrono::milliseconds time) {
  const SdBus& library = *TRY(LoadSdBus());
  sd_bus* bus = nullptr;
  int result = library.open_system(&bus);
  const bool by_bus = result >= 0;
  if (!by_bus) {
    result = library.create(&bus);
    if (result >= 0) result = library.set_address(bus, kPrivateSocket);
    if (result >= 0) result = library.start(bus);
  }
  Manager manager(library, bus, by_bus, time);
  if (result < 0) return FailWith(-result, "cannot connect to systemd");
  library.set_method_call_timeout(bus, TRY(manager.Left()));
  return manager;
}

Result<uint64_t> Manager::Left() const {
  const auto left = std::chrono::duration_cast<std::chrono::microseconds>(deadline_ - std::chrono::steady_clock::now());
  if (left.count() <= 0) return tl::unexpected<Error>(Late("systemd"));
  return static_cast<uint64_t>(left.count());
}

Result<> Manager::Watch() {
  if (watching_) return {};
  // Messages of its own socket have no sender.
  const char* sender = by_bus_ ? kService : nullptr;
  const int result = library_->match_signal(bus_, nullptr, sender, kPath, kInterface, "JobRemoved", OnJobRemoved, this);
  if (result < 0) return FailWith(-result, "cannot wait for systemd's jobs");
  // systemd tells a bus of the ends of jobs only while somebody wants to know.
  Message call = TRY(NewCall({kPath, kInterface, "Subscribe"}));
  TRY(Call(call));
  watching_ = true;
  return {};
}

int Manager::OnJobRemoved(sd_bus_message* message, void* manager, sd_bus_error* /*error*/) {
  auto* self = static_cast<Manager*>(manager);
  const SdBus& library = *self->library_;
  uint32_t number = 0;
  const char* job = nullptr;
  const char* unit = nullptr;
  const char* done = nullptr;
  if (library.message_read_basic(message, 'u', &number) > 0 && library.message_read_basic(message, 'o', &job) > 0 &&
      library.message_read_basic(message, 's', &unit) > 0 && library.message_read_basic(message, 's', &done) > 0) {
    self->done_[job] = done;
  }
  return 0;
}

Result<Manager::Message> Manager::NewCall(const Destination& destination) {
  sd_bus_message* message = nullptr;
  const int result = library_->message_new_method_call(bus_, &message, kService, destination.path,
                                                       destination.interface, destination.method);
  if (result < 0) return FailWith(-result, "cannot make a call of {}", destination.method);
  return Message(*library_, message, destination.method);
}

Result<Manager::Message> Manager::Call(Message& call) {
  if (call.result < 0) return FailWith(-call.result, "cannot make a call of {}", call.method);
  sd_bus_message* reply = nullptr;
  sd_bus_error error{};
  const int result = library_->call(bus_, call.message, TRY(Left()), &error, &reply);
  if (result >= 0) return Message(*library_, reply, call.method);
  Error failure = BusError(result, error, fmt::format("systemd: {}", call.method));
  library_->error_free(&error);
  return tl::unexpected<Error>(std::move(failure));
}

Result<> Manager::Append(Message& message, const Property& property) {
  message.Open('r', "sv");
  message.Text(property.name);
  message.Open('v', property.type.c_str());
  const char type = property.type.front();
  std::visit(
      [&](const auto& value) {
        using Value = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, std::string>) {
          message.Text(value);
        } else if constexpr (std::is_same_v<Value, std::vector<std::string>>) {
          message.Open('a', "s");
          for (const std::string& text : value) message.Text(text);
          message.Close();
        } else if constexpr (std::is_same_v<Value, std::vector<uint32_t>>) {
          if (message.result >= 0) {
            message.result =
                library_->message_append_array(message.message, 'u', value.data(), value.size() * sizeof(uint32_t));
          }
        } else if constexpr (std::is_same_v<Value, std::vector<uint8_t>>) {
          if (message.result >= 0) {
            message.result = library_->message_append_array(message.message, 'y', value.data(), value.size());
          }
        } else if constexpr (std::is_same_v<Value, bool>) {
          const int truth = value ? 1 : 0;
          message.Basic('b', &truth);
        } else {
          // The lower bytes of a number are the smaller number: this is a little-endian machine.
          message.Basic(type, &value);
        }
      },
      property.value);
  message.Close();
  message.Close();
  if (message.result >= 0) return {};
  return FailWith(-message.result, "cannot pass the property {} to systemd", property.name);
}

Result<> Manager::AwaitJob(Message& reply, const std::string& unit, const char* verb) {
  const char* job = nullptr;
  const int read = library_->message_read_basic(reply.message, 'o', &job);
  if (read <= 0) return Fail(Code::kUnavailable, "systemd: {}: the answer has no job", reply.method);
  while (!done_.contains(job)) {
    int result = library_->process(bus_, nullptr);
    if (result == 0) result = library_->wait(bus_, TRY(Left()));
    if (result < 0 && result != -EINTR) return FailWith(-result, "cannot wait for systemd");
  }
  const std::string& result = done_[job];
  if (result == "done") return {};
  return Fail(Code::kAborted, "systemd could not {} the unit {}: its job ended with \"{}\"", verb, unit, result);
}

Result<> Manager::StartTransientUnit(const std::string& unit, const std::vector<Property>& properties) {
  TRY(Watch());
  Message call = TRY(NewCall({kPath, kInterface, "StartTransientUnit"}));
  call.Text(unit);
  call.Text(kMode);
  call.Open('a', "(sv)");
  for (const Property& property : properties) TRY(Append(call, property));
  call.Close();
  call.Open('a', "(sa(sv))");  // no other units with it
  call.Close();
  Message reply = TRY(Call(call));
  auto done = AwaitJob(reply, unit, "start");
  if (!done) std::ignore = ResetFailedUnit(unit);
  return done;
}

Result<> Manager::SetUnitProperties(const std::string& unit, const std::vector<Property>& properties) {
  Message call = TRY(NewCall({kPath, kInterface, "SetUnitProperties"}));
  call.Text(unit);
  const int until_it_ends = 1;
  call.Basic('b', &until_it_ends);
  call.Open('a', "(sv)");
  for (const Property& property : properties) TRY(Append(call, property));
  call.Close();
  TRY(Call(call));
  return {};
}

Result<> Manager::StopUnit(const std::string& unit) {
  TRY(Watch());
  Message call = TRY(NewCall({kPath, kInterface, "StopUnit"}));
  call.Text(unit);
  call.Text(kMode);
  Message reply = TRY(Call(call));
  return AwaitJob(reply, unit, "stop");
}

Result<> Manager::ResetFailedUnit(const std::string& unit) {
  Message call = TRY(NewCall({kPath, kInterface, "ResetFailedUnit"}));
  call.Text(unit);
  TRY(Call(call));
  return {};
}

Result<std::string> Manager::TextOf(const std::string& unit, const char* interface, const char* property) {
  const std::string object = ObjectOf(unit);
  Message call = TRY(NewCall({object.c_str(), kPropertiesInterface, "Get"}));
  call.Text(interface);
  call.Text(property);
  Message reply = TRY(Call(call));
  const char* text = nullptr;
  if (library_->message_enter_container(reply.message, 'v', "s") <= 0 ||
      library_->message_read_basic(reply.message, 's', &text) <= 0) {
    return Fail(Code::kUnavailable, "systemd: the property {} of {} is no text", property, unit);
  }
  return std::string(text);
}

}  // namespace kata::sandbox
