// SPDX-License-Identifier: Apache-2.0
#include "runtime/ps_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace kata::runtime {
namespace {

// For unknown options, options that only a ps in the guest could honour, and options without a meaning for a VM.
Error Unsupported(std::string_view option) {
  return {Code::kInvalidArgument,
          fmt::format("ps: the option \"{}\" is unknown, or not supported for processes in a virtual machine", option)};
}

std::vector<std::string> Split(std::string_view list) {
  std::vector<std::string> parts;
  while (!list.empty()) {
    const std::string_view part = list.substr(0, list.find_first_of(", "));
    list.remove_prefix(std::min(part.size() + 1, list.size()));
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

Result<const PsColumn*> Column(std::string_view name) {
  const PsColumn* column = FindPsColumn(name);
  if (column == nullptr) return Fail(Code::kInvalidArgument, "ps: unknown user-defined format specifier \"{}\"", name);
  return column;
}

class Parser {
 public:
  explicit Parser(const std::vector<std::string>& words) : words_(words) {}

  Result<PsView> Parse() {
    while (next_ < words_.size()) {
      const std::string& word = words_[next_++];
      if (word.starts_with("--")) {
        TRY(ReadLong(std::string_view(word).substr(2)));
      } else if (word.starts_with('-') && !IsBsdWithDash(word)) {
        TRY(ReadUnix(std::string_view(word).substr(1)));
      } else {
        TRY(ReadBsd(std::string_view(word).substr(word.starts_with('-') ? 1 : 0)));
      }
    }
    const bool unix_format = full_ || more_ || long_ || jobs_;
    const bool bsd_format = bsd_user_ || bsd_long_ || bsd_jobs_;
    const int formats = (view_.columns.empty() ? 0 : 1) + (unix_format ? 1 : 0) + (bsd_format ? 1 : 0);
    if (formats > 1 || (bsd_user_ ? 1 : 0) + (bsd_long_ ? 1 : 0) + (bsd_jobs_ ? 1 : 0) > 1) {
      return Fail(Code::kInvalidArgument, "ps: conflicting format options");
    }
    if (!view_.columns.empty()) return std::move(view_);
    if (bsd_format || (bsd_ && !unix_format)) {
      AddBsd();
    } else {
      AddUnix();
    }
    return std::move(view_);
  }

 private:
  // Whether the word is "-aux" or the like, which procps treats as "aux".
  static bool IsBsdWithDash(const std::string& word) {
    return word.find('u') != std::string::npos && word.find('x') != std::string::npos &&
           word.find_first_not_of("auxw", 1) == std::string::npos;
  }

  // An option's value: the rest of its word, or else the next word.
  Result<std::string> Value(std::string_view option, std::string_view rest) {
    if (!rest.empty()) return std::string(rest);
    if (next_ == words_.size()) return Fail(Code::kInvalidArgument, "ps: the option \"{}\" needs a value", option);
    return words_[next_++];
  }

  Result<> AddFormat(std::string_view format) {
    for (const std::string& item : Split(format)) {
      const size_t equals = item.find('=');
      std::string name = item.substr(0, equals);
      PsChoice choice;
      if (const size_t colon = name.find(':'); colon != std::string::npos) {
        const char* end = name.data() + name.size();
        const auto parsed = std::from_chars(name.data() + colon + 1, end, choice.width);
        if (parsed.ec != std::errc() || parsed.ptr != end || choice.width < 1 || choice.width > 4096) {
          return Fail(Code::kInvalidArgument, "ps: \"{}\" has a width that is none", item);
        }
        name.resize(colon);
      }
      choice.column = TRY(Column(name));
      choice.header = equals == std::string::npos ? std::string(choice.column->header) : item.substr(equals + 1);
      view_.columns.push_back(std::move(choice));
    }
    if (view_.columns.empty()) return Fail(Code::kInvalidArgument, "ps: a format that names no column");
    return {};
  }

  Result<> AddPids(std::string_view list) {
    if (!view_.pids) view_.pids.emplace();
    for (const std::string& word : Split(list)) {
      int64_t pid = 0;
      const char* end = word.data() + word.size();
      const auto parsed = std::from_chars(word.data(), end, pid);
      if (parsed.ec != std::errc() || parsed.ptr != end || pid < 1) {
        return Fail(Code::kInvalidArgument, "ps: \"{}\" is no process id", word);
      }
      view_.pids->push_back(pid);
    }
    return {};
  }

  Result<> AddOrder(std::string_view keys) {
    for (std::string& key : Split(keys)) {
      const bool descending = key.starts_with('-');
      if (descending || key.starts_with('+')) key.erase(0, 1);
      view_.order.push_back({TRY(Column(key)), descending});
    }
    return {};
  }

  Result<> ReadLong(std::string_view word) {
    const std::string_view name = word.substr(0, word.find('='));
    const std::string_view value = name.size() < word.size() ? word.substr(name.size() + 1) : std::string_view();
    const std::string written = fmt::format("--{}", name);
    if (name == "no-headers" || name == "no-heading" || name == "no-headings" || name == "noheaders" ||
        name == "noheading" || name == "noheadings") {
      view_.heads = false;
      return {};
    }
    if (name == "headers" || name == "heading" || name == "headings") return {};
    if (name == "cols" || name == "columns" || name == "width" || name == "lines" || name == "rows") {
      TRY(Value(written, value));  // ignored: lines are never cut
      return {};
    }
    if (name == "format") return AddFormat(TRY(Value(written, value)));
    if (name == "sort") return AddOrder(TRY(Value(written, value)));
    if (name == "pid") return AddPids(TRY(Value(written, value)));
    return tl::unexpected(Unsupported(written));
  }

  Result<> ReadUnix(std::string_view letters) {
    if (letters.empty()) return tl::unexpected(Unsupported("-"));
    while (!letters.empty()) {
      const char letter = letters[0];
      letters.remove_prefix(1);
      switch (letter) {
        case 'e':
        case 'A':
        case 'a':
        case 'd':
        case 'w':
          break;
        case 'x':  // not an option of Unix: procps takes it for BSD's
          bsd_ = true;
          break;
        case 'f':
          full_ = true;
          break;
        case 'F':
          more_ = true;
          break;
        case 'l':
          long_ = true;
          break;
        case 'j':
          jobs_ = true;
          break;
        case 'y':
          resident_ = true;
          break;
        case 'o':
          return AddFormat(TRY(Value("-o", letters)));
        case 'p':
        case 'q':
          return AddPids(TRY(Value("-p", letters)));
        default:
          return tl::unexpected(Unsupported(fmt::format("-{}", letter)));
      }
    }
    return {};
  }

  Result<> ReadBsd(std::string_view letters) {
    if (letters.empty()) return tl::unexpected(Unsupported(""));
    if (letters.find_first_not_of("0123456789,") == std::string_view::npos) return AddPids(letters);
    bsd_ = true;
    while (!letters.empty()) {
      const char letter = letters[0];
      letters.remove_prefix(1);
      switch (letter) {
        case 'a':
        case 'x':
        case 'w':
          break;
        case 'u':
          bsd_user_ = true;
          break;
        case 'l':
          bsd_long_ = true;
          break;
        case 'j':
          bsd_jobs_ = true;
          break;
        case 'h':
          view_.heads = false;
          break;
        case 'o':
          return AddFormat(TRY(Value("o", letters)));
        case 'k':
          return AddOrder(TRY(Value("k", letters)));
        case 'p':
        case 'q':
          return AddPids(TRY(Value("p", letters)));
        default:
          return tl::unexpected(Unsupported(std::string_view(&letter, 1)));
      }
    }
    return {};
  }

  void Add(std::initializer_list<const char*> names) {
    for (const char* name : names) {
      const PsColumn* column = FindPsColumn(name);
      view_.columns.push_back({column, std::string(column->header)});
    }
  }
  void AddAs(const char* name, const char* header) { view_.columns.push_back({FindPsColumn(name), header}); }

  void AddUnix() {
    const bool full = full_ || more_;
    if (long_ && !resident_) Add({"f"});
    if (long_) Add({"s"});
    if (full) AddAs("user", "UID");
    if (long_ && !full) Add({"uid"});
    Add({"pid"});
    if (full || long_) Add({"ppid"});
    if (jobs_) Add({"pgid", "sid"});
    if (full || long_) Add({"c"});
    if (long_) Add({"opri", "ni", resident_ ? "rss" : "addr", "sz", "wchan"});
    if (more_) Add({"sz", "rss", "psr"});
    if (full) Add({"stime"});
    Add({"tname", "time"});
    AddAs(full ? "args" : "comm", "CMD");
  }

  void AddBsd() {
    if (bsd_user_)
      return Add({"user", "pid", "%cpu", "%mem", "vsz", "rss", "tname", "stat", "bsdstart", "bsdtime", "args"});
    if (bsd_long_) {
      return Add(
          {"f", "uid", "pid", "ppid", "priority", "ni", "vsz", "rss", "wchan", "stat", "tname", "bsdtime", "args"});
    }
    if (bsd_jobs_) return Add({"ppid", "pid", "pgid", "sid", "tname", "tpgid", "stat", "uid", "bsdtime", "args"});
    Add({"pid", "tname", "stat", "bsdtime", "args"});
  }

  const std::vector<std::string>& words_;
  size_t next_ = 0;
  PsView view_;
  bool full_ = false;      // -f
  bool more_ = false;      // -F
  bool long_ = false;      // -l
  bool jobs_ = false;      // -j
  bool resident_ = false;  // -y
  bool bsd_ = false;
  bool bsd_user_ = false;
  bool bsd_long_ = false;
  bool bsd_jobs_ = false;
};

// Compares two numbers by value, anything else as text.
int Compare(const std::string& left, const std::string& right) {
  double numbers[2] = {};
  bool both = true;
  for (const auto& [text, number] : {std::pair(&left, &numbers[0]), std::pair(&right, &numbers[1])}) {
    const char* end = text->data() + text->size();
    const auto parsed = std::from_chars(text->data(), end, *number);
    both = both && parsed.ec == std::errc() && parsed.ptr == end;
  }
  if (!both) return left.compare(right);
  return numbers[0] < numbers[1] ? -1 : numbers[0] > numbers[1] ? 1 : 0;
}

}  // namespace

Result<PsView> ParsePsOptions(const std::vector<std::string>& words) {
  static const std::vector<std::string> kDefault = {"-ef"};
  return Parser(words.empty() ? kDefault : words).Parse();
}

std::string ShowProcesses(const PsView& view, std::vector<GuestProcess> processes) {
  if (view.pids) {
    std::erase_if(processes, [&view](const GuestProcess& process) {
      return std::find(view.pids->begin(), view.pids->end(), process.pid) == view.pids->end();
    });
  }
  std::stable_sort(processes.begin(), processes.end(), [&view](const GuestProcess& left, const GuestProcess& right) {
    for (const PsView::Key& key : view.order) {
      const int order = Compare(key.column->value(left), key.column->value(right));
      if (order != 0) return key.descending ? order > 0 : order < 0;
    }
    return false;
  });
  return PsTable(view.columns, processes, view.heads);
}

}  // namespace kata::runtime
