// SPDX-License-Identifier: Apache-2.0
#include "shim/pod_bundle.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/files.h"
#include "oci/pod.h"
#include "protocol/pod_config.pb.h"

namespace kata::shim {
namespace {

namespace cri = ::runtime::v1;
using containerd::runtime::sandbox::v1::CreateSandboxRequest;

constexpr std::string_view kPodConfig = "runtime.v1.PodSandboxConfig";
constexpr std::string_view kKataAnnotations = "io.katacontainers.";
constexpr char kOciVersion[] = "1.0.2";
constexpr size_t kMaxEtcFile = 1U << 20U;

Result<cri::PodSandboxConfig> ConfigOf(const CreateSandboxRequest& request) {
  cri::PodSandboxConfig config;
  if (!std::string_view(request.options().type_url()).ends_with(kPodConfig)) return config;
  if (!config.ParseFromString(request.options().value())) {
    return Fail(Code::kInvalidArgument, "options: not a valid {}", kPodConfig);
  }
  return config;
}

Result<std::string> Hostname(const cri::PodSandboxConfig& config) {
  if (!config.hostname().empty()) return config.hostname();
  std::array<char, HOST_NAME_MAX + 1> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return FailErrno("cannot get the host's name");
  return std::string(name.data());
}

// The contents of a file of the host; "" if the host does not have the file.
Result<std::string> HostsFile(const std::string& path) {
  auto text = ReadFile(path, kMaxEtcFile);
  if (!text && text.error().sys() == ENOENT) return std::string();
  return text;
}

Result<std::string> ResolvConf(const cri::PodSandboxConfig& config) {
  if (!config.has_dns_config()) return HostsFile("/etc/resolv.conf");
  const cri::DNSConfig& dns = config.dns_config();
  std::string text;
  const auto add = [&text](std::string_view word, const auto& values) {
    if (values.empty()) return;
    text += word;
    for (const std::string& value : values) text += " " + value;
    text += '\n';
  };
  add("search", dns.searches());
  for (const std::string& server : dns.servers()) text += "nameserver " + server + "\n";
  add("options", dns.options());
  return text;
}

Result<> AddFile(oci::Bundle& bundle, int directory, const std::string& name, const std::string& text) {
  TRY(Context(WriteFileAtomic(directory, name, text, 0644), "cannot write {}/{}", bundle.path, name));
  // Independent of the umask, since every user in the container may read the file.
  if (fchmodat(directory, name.c_str(), 0644, 0) != 0) return FailErrno("cannot open {}/{} to all", bundle.path, name);
  grpc::Mount& mount = *bundle.spec.add_mounts();
  mount.set_destination("/etc/" + name);
  mount.set_type("bind");
  mount.set_source(bundle.path + "/" + name);
  for (const char* option : {"rbind", "rprivate"}) mount.add_options(option);
  return {};
}

// The path that containerd's CRI plugin would use for a container of the pod.
std::string CgroupsPath(const std::string& parent, const std::string& id) {
  if (parent.empty()) return "";
  const std::string base = std::filesystem::path(parent).filename();
  return base.ends_with(".slice") ? base + ":cri-containerd:" + id : (std::filesystem::path(parent) / id).string();
}

void AddNamespaces(const cri::PodSandboxConfig& config, const std::string& network, grpc::Spec& spec) {
  const cri::NamespaceOption& options = config.linux().security_context().namespace_options();
  const auto add = [&spec](const char* type, cri::NamespaceMode mode) {
    if (mode != cri::NODE) spec.mutable_linux()->add_namespaces()->set_type(type);
  };
  add("pid", options.pid());
  add("ipc", options.ipc());
  add("network", options.network());
  add("mount", cri::POD);
  add("uts", cri::POD);
  if (!network.empty()) oci::SetNetworkNamespace(spec, network);
}

// Adds the annotations that containerd's CRI plugin gives to a pause container.
void AddAnnotations(const cri::PodSandboxConfig& config, const CreateSandboxRequest& request, oci::Bundle& bundle) {
  auto& annotations = bundle.annotations;
  for (const auto& [name, value] : config.annotations()) {
    if (name.starts_with(kKataAnnotations)) annotations[name] = value;
  }
  for (const auto& [name, value] : request.annotations()) annotations[name] = value;
  annotations["io.kubernetes.cri.container-type"] = "sandbox";
  annotations["io.kubernetes.cri.sandbox-id"] = request.sandbox_id();
  if (config.has_metadata()) {
    annotations["io.kubernetes.cri.sandbox-name"] = config.metadata().name();
    annotations["io.kubernetes.cri.sandbox-namespace"] = config.metadata().namespace_();
    annotations["io.kubernetes.cri.sandbox-uid"] = config.metadata().uid();
  }
  if (config.linux().has_resources()) {
    const cri::LinuxContainerResources& all = config.linux().resources();
    annotations["io.kubernetes.cri.sandbox-cpu-period"] = std::to_string(all.cpu_period());
    annotations["io.kubernetes.cri.sandbox-cpu-quota"] = std::to_string(all.cpu_quota());
    annotations["io.kubernetes.cri.sandbox-memory"] = std::to_string(all.memory_limit_in_bytes());
  }
}

}  // namespace

bool HasSpec(const CreateSandboxRequest& request) {
  return access((request.bundle_path() + "/config.json").c_str(), F_OK) == 0;
}

Result<oci::Bundle> MakePodBundle(const CreateSandboxRequest& request) {
  const cri::PodSandboxConfig config = TRY(ConfigOf(request));
  const UniqueFd directory = TRY(Context(Open(request.bundle_path(), O_RDONLY | O_DIRECTORY), "bundle"));
  oci::Bundle bundle;
  bundle.path = TRY(PathOfFd(directory.get()));
  bundle.rootfs = bundle.path + "/rootfs";
  bundle.oci_version = kOciVersion;
  grpc::Spec& spec = bundle.spec;
  spec.set_version(kOciVersion);
  spec.mutable_root()->set_path("rootfs");
  spec.set_hostname(TRY(Hostname(config)));
  spec.mutable_linux()->set_cgroupspath(CgroupsPath(config.linux().cgroup_parent(), request.sandbox_id()));
  AddNamespaces(config, request.netns_path(), spec);
  *spec.mutable_linux()->mutable_sysctl() = config.linux().sysctls();
  TRY(AddFile(bundle, directory.get(), "hostname", spec.hostname() + "\n"));
  TRY(AddFile(bundle, directory.get(), "hosts", TRY(HostsFile("/etc/hosts"))));
  TRY(AddFile(bundle, directory.get(), "resolv.conf", TRY(ResolvConf(config))));
  AddAnnotations(config, request, bundle);
  for (const auto& [name, value] : bundle.annotations) (*spec.mutable_annotations())[name] = value;
  return bundle;
}

}  // namespace kata::shim
