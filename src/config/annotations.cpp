// SPDX-License-Identifier: Apache-2.0
// A pod's annotations: which of them are allowed, and the conversion of their texts to values of keys.
#include <algorithm>
#include <charconv>
#include <optional>
#include <regex>

#include "config/config.h"
#include "config/key.h"

namespace kata::config {
namespace {

constexpr std::string_view kPrefix = "io.katacontainers.config.";

// Annotations that ask for a check or a protection that is not implemented. Ignoring them would be unsafe.
constexpr std::string_view kRefused[] = {"hypervisor.kernel_hash",
                                         "hypervisor.image_hash",
                                         "hypervisor.initrd_hash",
                                         "hypervisor.firmware_hash",
                                         "hypervisor.firmware_volume_hash",
                                         "hypervisor.hypervisor_hash",
                                         "hypervisor.path_hash",
                                         "hypervisor.jailer_hash",
                                         "hypervisor.asset_hash_type",
                                         "hypervisor.kernel_verity_params",
                                         "hypervisor.cc_init_data",
                                         "agent.policy"};

// Splits text at separator; drops empty parts.
std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(separator));
    if (!part.empty()) parts.emplace_back(part);
    text.remove_prefix(std::min(text.size(), part.size() + 1));
  }
  return parts;
}

template <typename Number>
std::optional<Value> NumberOf(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Converts an annotation's text to a value of the key's type.
Result<Value> Convert(Type type, const std::string& text) {
  std::optional<Value> value;
  std::string_view expected = "a string";
  switch (type) {
    case Type::kBool:
      expected = "true or false";
      if (text == "true" || text == "1") value = true;
      if (text == "false" || text == "0") value = false;
      break;
    case Type::kInteger:
      expected = "a whole number";
      value = NumberOf<int64_t>(text);
      break;
    case Type::kNumber:
      expected = "a number";
      value = NumberOf<double>(text);
      break;
    case Type::kString:
      value = text;
      break;
    case Type::kList:
      value = Split(text, ';');
      break;
  }
  if (!value) return Fail(Code::kInvalidArgument, "expected {}, found {}", expected, Shown(text));
  return *std::move(value);
}

// Whether one of the expressions matches the whole name.
bool GateOpens(const std::vector<std::string>& expressions, const std::string& name) {
  return std::any_of(expressions.begin(), expressions.end(), [&](const std::string& expression) {
    try {
      return std::regex_match(name, std::regex(expression));
    } catch (const std::regex_error&) {
      return false;  // the expression is too complex to evaluate: do not allow the annotation
    }
  });
}

// The annotations of one pod, applied to a copy of the operator's configuration.
class PodAnnotations {
 public:
  explicit PodAnnotations(const Config& config) : operator_(config), config_(config) {}

  // suffix is what follows the prefix: "hypervisor.default_memory".
  Result<> Apply(const std::string& suffix, const std::string& text) {
    const size_t dot = suffix.find('.');
    const std::string group = suffix.substr(0, dot);
    // Of several hypervisors' tables the one of the chosen hypervisor.
    const std::string table = operator_.hypervisor.Table();
    const auto section = std::find_if(Sections().begin(), Sections().end(), [&](const Section& known) {
      return known.group == group && (group != "hypervisor" || known.name == table);
    });
    // Not one of our groups; or the hypervisor has no table, and then CreateHypervisor refuses it.
    if (section == Sections().end()) return {};
    const std::string name = dot == std::string::npos ? "" : suffix.substr(dot + 1);
    const Key* key = section->FindAnnotation(name);
    if (std::find(std::begin(kRefused), std::end(kRefused), suffix) != std::end(kRefused)) {
      return Fail(Code::kUnimplemented, "not supported");
    }
    if (key == nullptr) return Fail(Code::kInvalidArgument, "unknown annotation{}", section->Suggest(name));
    if (key->used() && key->pod == FromPod::kNever) {
      return Fail(Code::kPermissionDenied, "{} can be set in the configuration file only", key->name);
    }
    const bool gated = group == "hypervisor" || (key->used() && key->pod == FromPod::kGated);
    if (gated && !GateOpens(operator_.hypervisor.enable_annotations, name)) {
      return Fail(Code::kPermissionDenied,
                  "not allowed by the configuration: to allow it, add \"{}\" to enable_annotations in [{}]", name,
                  operator_.hypervisor.Table());
    }
    if (!key->used()) {
      unused_.push_back(suffix);
      return {};
    }
    return Set(*key, text);
  }

  Result<> Finish() const { return CheckTogether(config_); }
  const Config& config() const { return config_; }
  const std::vector<std::string>& unused() const { return unused_; }

 private:
  Result<> Set(const Key& key, const std::string& text) {
    if (key.check_pod) TRY(key.check_pod(operator_, text));
    const std::string own = key.appended_to ? key.appended_to(operator_) : "";
    const Value value = TRY(Convert(key.type, own.empty() ? text : own + " " + text));
    return key.set(config_, value);
  }

  const Config& operator_;  // the configuration before the annotations: decides what is allowed
  Config config_;
  std::vector<std::string> unused_;
};

}  // namespace

Result<std::vector<std::string>> ApplyAnnotations(Config& config,
                                                  const std::map<std::string, std::string>& annotations) {
  PodAnnotations pod(config);
  for (const auto& [name, text] : annotations) {
    if (!name.starts_with(kPrefix)) continue;
    const std::string suffix = name.substr(kPrefix.size());
    TRY(Context(pod.Apply(suffix, text), "annotation {}", name.substr(0, 128)));
  }
  TRY(Context(pod.Finish(), "annotations"));
  if (!pod.config().hypervisor.image.empty() && pod.config().hypervisor.image != config.hypervisor.image) {
    return Fail(Code::kUnimplemented, "annotation {}hypervisor.image: images are not supported yet", kPrefix);
  }
  std::vector<std::string> warnings;
  if (!pod.unused().empty()) {
    warnings.push_back(fmt::format("annotations: known, but not used yet: {}", fmt::join(pod.unused(), ", ")));
  }
  config = pod.config();
  return warnings;
}

}  // namespace kata::config
