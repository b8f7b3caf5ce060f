// SPDX-License-Identifier: Apache-2.0
// The ttRPC methods for the whole pod: CreateSandbox, DestroySandbox and GetOOMEvent.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "agent/method.h"
#include "agent/services.h"
#include "base/files.h"

namespace kata::agent {

namespace {

// The guest kernel loads no modules: a module must be built in.
Result<> CheckModules(const grpc::CreateSandboxRequest& request) {
  for (const grpc::KernelModule& module : request.kernel_modules()) {
    TRY(CheckId("kernel module", module.name()));
    std::string name = module.name();
    std::replace(name.begin(), name.end(), '-', '_');
    struct stat status {};
    if (::stat(("/sys/module/" + name).c_str(), &status) == 0) continue;
    return Fail(Code::kUnimplemented,
                "kernel module {}: the guest kernel loads no modules, and this one is not built in; add it to the "
                "kernel's fragments",
                module.name());
  }
  return {};
}

// Containers get the pod's resolv.conf by a mount from the host. This one is for programs of the guest itself.
Result<> SetDns(const Pod& pod, const grpc::CreateSandboxRequest& request) {
  if (request.dns_size() == 0) return {};
  std::string text;
  for (const std::string& line : request.dns()) {
    text += line;
    text += '\n';
  }
  const std::string directory = pod.root().path() + "/sandbox";
  const std::string path = directory + "/resolv.conf";
  TRY(pod.root().MakeDirs(directory, 0755));
  const auto parent = TRY(pod.root().OpenExisting(directory, O_RDONLY | O_DIRECTORY));
  TRY(WriteFileAtomic(parent.get(), "resolv.conf", text, 0644));
  if (::getpid() != 1) return {};
  TRY(Open("/etc/resolv.conf", O_WRONLY | O_CREAT, 0644));
  if (::mount(path.c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr) < 0) {
    return FailErrno("cannot bind {} to /etc/resolv.conf", path);
  }
  return {};
}

Result<> CheckHooks(const std::string& path) {
  if (path.empty()) return {};
  return Fail(Code::kUnimplemented,
              "guest_hook_path {}: this agent runs no hooks of its own; put them into the bundle's config.json", path);
}

asio::awaitable<Result<Empty>> CreateSandbox(Pod& pod, grpc::CreateSandboxRequest request) {
  if (pod.namespaces().ipc) co_return Fail(Code::kAlreadyExists, "the sandbox has been created already");
  CO_TRY(CheckHooks(request.guest_hook_path()));
  CO_TRY(CheckModules(request));
  CO_TRY_ASSIGN(auto namespaces, MakeSharedNamespaces(request.hostname(), request.sandbox_pidns()));
  CO_TRY(SetDns(pod, request));
  CO_TRY(co_await pod.AddStorages(request.storages()));
  pod.namespaces() = std::move(namespaces);
  co_return Empty();
}

asio::awaitable<Result<Empty>> DestroySandbox(Pod& pod, grpc::DestroySandboxRequest) {
  co_return Done(co_await pod.Destroy());
}

asio::awaitable<Result<grpc::OOMEvent>> GetOomEvent(Pod& pod, grpc::GetOOMEventRequest) {
  grpc::OOMEvent event;
  event.set_container_id(co_await pod.NextOom());
  co_return event;
}

}  // namespace

void AddSandboxMethods(rpc::MethodTable& table, Pod& pod) {
  Add(table, pod, "CreateSandbox", CreateSandbox);
  Add(table, pod, "DestroySandbox", DestroySandbox);
  Add(table, pod, "GetOOMEvent", GetOomEvent);
}

}  // namespace kata::agent
