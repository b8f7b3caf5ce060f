// SPDX-License-Identifier: Apache-2.0
#include "config/text.h"

#include <algorithm>

#include "config/toml.h"

namespace kata::config {
namespace {

// Tables of Kata's configuration files that are not used yet.
constexpr const char* kUnusedTables[] = {"factory",
                                         "hypervisor.clh",
                                         "hypervisor.cloud-hypervisor",
                                         "hypervisor.firecracker",
                                         "hypervisor.dragonball",
                                         "hypervisor.stratovirt",
                                         "hypervisor.acrn",
                                         "hypervisor.remote"};

std::string At(const std::string& file, const toml::node& node) {
  return fmt::format("{}:{}", file, node.source().begin.line);
}

std::string_view TypeName(Type type) {
  switch (type) {
    case Type::kBool:
      return "true or false";
    case Type::kInteger:
      return "a whole number";
    case Type::kNumber:
      return "a number";
    case Type::kString:
      return "a string";
    case Type::kList:
      break;
  }
  return "a list of strings";
}

// The value for a message, whatever its type.
std::string Found(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return Shown(*text);
  if (const auto integer = node.value_exact<int64_t>()) return Shown(*integer);
  if (const auto number = node.value_exact<double>()) return Shown(*number);
  if (const auto flag = node.value_exact<bool>()) return Shown(*flag);
  if (node.is_array()) return "a list";
  return node.is_table() ? "a table" : "a date or time";
}

std::optional<Value> List(const toml::node& node) {
  const toml::array* array = node.as_array();
  if (array == nullptr) return std::nullopt;
  std::vector<std::string> items;
  for (const toml::node& item : *array) {
    std::optional<std::string> text = item.value_exact<std::string>();
    if (!text) return std::nullopt;
    items.push_back(*std::move(text));
  }
  return items;
}

// Converts a node to a value of the type; nullopt if it has another type. An integer is also accepted as a number.
std::optional<Value> As(Type type, const toml::node& node) {
  switch (type) {
    case Type::kBool:
      if (const auto flag = node.value_exact<bool>()) return *flag;
      break;
    case Type::kInteger:
      if (const auto integer = node.value_exact<int64_t>()) return *integer;
      break;
    case Type::kNumber:
      if (const auto integer = node.value_exact<int64_t>()) return static_cast<double>(*integer);
      if (const auto number = node.value_exact<double>()) return *number;
      break;
    case Type::kString:
      if (const auto text = node.value_exact<std::string>()) return *text;
      break;
    case Type::kList:
      return List(node);
  }
  return std::nullopt;
}

bool IsUnusedTable(const std::string& name) {
  return std::find(std::begin(kUnusedTables), std::end(kUnusedTables), name) != std::end(kUnusedTables);
}

std::vector<std::string> TableNames() {
  std::vector<std::string> names(std::begin(kUnusedTables), std::end(kUnusedTables));
  for (const Section& section : Sections()) names.push_back(section.name);
  return names;
}

}  // namespace

// Applies the tables of one parsed text.
class TextReader::Tables {
 public:
  Tables(TextReader& reader, const std::string& file) : reader_(reader), file_(file) {}

  // prefix: "" for the top level, or "hypervisor." and the like for tables that only contain other tables.
  Result<> Walk(const toml::table& table, const std::string& prefix) {
    for (const auto& [key, node] : table) {
      const std::string name = prefix + std::string(key.str());
      const auto section =
          std::find_if(Sections().begin(), Sections().end(), [&](const Section& known) { return known.name == name; });
      const bool group = std::any_of(Sections().begin(), Sections().end(),
                                     [&](const Section& known) { return known.name.starts_with(name + "."); });
      if (section == Sections().end() && !group && !IsUnusedTable(name)) {
        return Fail(Code::kInvalidArgument, "{}: {}: unknown {}{}", At(file_, node), Clean(name),
                    node.is_table() ? "section" : "key", Suggestion(name, TableNames()));
      }
      if (!node.is_table()) {
        return Fail(Code::kInvalidArgument, "{}: {}: expected a table, found {}", At(file_, node), name, Found(node));
      }
      NoteHypervisor(name);
      if (section != Sections().end()) {
        TRY(Apply(*section, *node.as_table()));
      } else if (group) {
        TRY(Walk(*node.as_table(), name + "."));
      } else {
        NotUsed("[" + name + "]");
      }
    }
    return {};
  }

 private:
  Result<> Apply(const Section& section, const toml::table& table) {
    for (const auto& [toml_key, node] : table) {
      const std::string name(toml_key.str());
      const std::string full = fmt::format("{}.{}", section.name, name);
      const bool unused_table =
          std::find(section.unused_tables.begin(), section.unused_tables.end(), name) != section.unused_tables.end();
      if (unused_table && node.is_table()) {
        NotUsed("[" + full + "]");
        continue;
      }
      const Key* key = section.Find(name);
      if (key == nullptr) {
        return Fail(Code::kInvalidArgument, "{}: {}: unknown key{}", At(file_, node), Clean(full),
                    section.Suggest(name));
      }
      if (!key->used()) {
        NotUsed(full);
        continue;
      }
      TRY(Set(*key, full, node));
    }
    return {};
  }

  Result<> Set(const Key& key, const std::string& full, const toml::node& node) {
    const std::optional<Value> value = As(key.type, node);
    if (!value) {
      return Fail(Code::kInvalidArgument, "{}: {}: expected {}, found {}", At(file_, node), full, TypeName(key.type),
                  Found(node));
    }
    TRY(Context(key.set(reader_.config_, *value), "{}: {}", At(file_, node), full));
    reader_.where_[full] = At(file_, node);
    return {};
  }

  void NoteHypervisor(const std::string& table) {
    constexpr std::string_view kPrefix = "hypervisor.";
    if (!table.starts_with(kPrefix)) return;
    const std::string name = table.substr(kPrefix.size());
    auto& known = reader_.hypervisors_;
    if (std::find(known.begin(), known.end(), name) == known.end()) known.push_back(name);
  }

  void NotUsed(const std::string& name) {
    auto& unused = reader_.unused_;
    if (std::find(unused.begin(), unused.end(), name) == unused.end()) unused.push_back(name);
  }

  // An unknown name may contain any characters: make it printable.
  static std::string Clean(const std::string& name) {
    const std::string shown = Shown(name);
    return shown.substr(1, shown.size() - 2);
  }

  TextReader& reader_;
  const std::string& file_;
};

std::optional<bool> BooleanIn(const std::string& text, const std::string& key) {
  const toml::parse_result parsed = toml::parse(std::string_view(text));
  return parsed ? parsed.table()[key].value_exact<bool>() : std::nullopt;
}

Result<> TextReader::Read(const std::string& text, const std::string& file) {
  const toml::parse_result parsed = toml::parse(std::string_view(text), std::string_view(file));
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    const std::string why = Shown(std::string(error.description()));
    return Fail(Code::kInvalidArgument, "{}:{}:{}: {}", file, error.source().begin.line, error.source().begin.column,
                why.substr(1, why.size() - 2));
  }
  return Tables(*this, file).Walk(parsed.table(), "");
}

Result<std::vector<std::string>> TextReader::Finish() {
  std::vector<std::string> warnings;
  // Kata's files for another hypervisor have only that hypervisor's table, and no hypervisor_name. They must not start
  // a QEMU that nobody asked for.
  if (!where_.contains("runtime.hypervisor_name") && hypervisors_.size() == 1) {
    config_.hypervisor.name = hypervisors_.front();
  }
  const std::string table = config_.hypervisor.Table();
  const auto image = where_.find(table + ".image");
  if (image != where_.end() && !config_.hypervisor.image.empty()) {
    if (!where_.contains(table + ".initrd")) {
      return Fail(Code::kUnimplemented, "{}: {}.image: images are not supported yet: set initrd in its place",
                  image->second, table);
    }
    warnings.push_back(fmt::format("{}: {}.image: not used, since initrd is set", image->second, table));
  }
  if (const Result<> together = CheckTogether(config_); !together) {
    // The message begins with the wrong key: prepend the key's file and line.
    Error error = together.error();
    const auto where = where_.find(error.message().substr(0, error.message().find(':')));
    if (where != where_.end()) error.AddContext(where->second);
    return tl::unexpected<Error>(std::move(error));
  }
  if (!unused_.empty()) {
    warnings.push_back(fmt::format("configuration: known, but not used yet: {}", fmt::join(unused_, ", ")));
  }
  return warnings;
}

}  // namespace kata::config
