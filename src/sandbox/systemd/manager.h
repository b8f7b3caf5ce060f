// SPDX-License-Identifier: Apache-2.0
// The systemd that manages this host, spoken to over D-Bus (org.freedesktop.systemd1(5)).
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/systemd/library.h"
#include "sandbox/systemd/property.h"

namespace kata::sandbox {

// One connection. All calls block, at most for the time that Connect was given; kDeadlineExceeded: that was too short.
class Manager {
 public:
  // Connects by the system bus, or without one by systemd's own socket. kUnavailable: neither can be reached.
  static Result<Manager> Connect(std::chrono::milliseconds time);
  Manager(Manager&& other) noexcept;
  Manager& operator=(Manager&&) = delete;
  ~Manager();

  // Starts a transient unit and waits until systemd says that it runs. kAlreadyExists: there is one with this name.
  // kAborted: systemd could not start it; nothing of it is left.
  Result<> StartTransientUnit(const std::string& unit, const std::vector<Property>& properties);
  // Changes properties of a unit until it ends.
  Result<> SetUnitProperties(const std::string& unit, const std::vector<Property>& properties);
  // Stops a unit and waits for its end. kNotFound: systemd does not know it.
  Result<> StopUnit(const std::string& unit);
  // Forgets that a unit has failed. kNotFound: systemd does not know it.
  Result<> ResetFailedUnit(const std::string& unit);
  // A property of a unit that is a text. Those of a unit that does not exist are empty, or that of an empty unit.
  Result<std::string> TextOf(const std::string& unit, const char* interface, const char* property);

 private:
  struct Message;
  struct Destination {
    const char* path;
    const char* interface;
    const char* method;
  };
  Manager(const SdBus& library, sd_bus* bus, bool by_bus, std::chrono::milliseconds time)
      : library_(&library), bus_(bus), by_bus_(by_bus), deadline_(std::chrono::steady_clock::now() + time) {}
  Result<> Watch();
  Result<Message> NewCall(const Destination& destination);
  Result<Message> Call(Message& call);
  Result<> Append(Message& message, const Property& property);
  Result<> AwaitJob(Message& reply, const std::string& unit, const char* verb);
  static int OnJobRemoved(sd_bus_message* message, void* manager, sd_bus_error* error);
  Result<uint64_t> Left() const;

  const SdBus* library_;
  sd_bus* bus_;
  bool by_bus_;            // false: by systemd's own socket
  bool watching_ = false;  // whether systemd has been told to tell of jobs: a second time is an error
  std::chrono::steady_clock::time_point deadline_;
  std::map<std::string, std::string> done_;  // from the path of a job that is done to its result
};

}  // namespace kata::sandbox
