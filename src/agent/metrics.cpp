// SPDX-License-Identifier: Apache-2.0
#include "agent/metrics.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

#include "base/files.h"

namespace kata::agent {

namespace {

constexpr char kAgent[] = "kata_agent_";
constexpr char kGuest[] = "kata_guest_";

uint64_t Number(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// The words of a line, split at any of these characters.
std::vector<std::string_view> Words(std::string_view text, std::string_view separators = " \t:") {
  std::vector<std::string_view> words;
  while (true) {
    const size_t start = text.find_first_not_of(separators);
    if (start == std::string_view::npos) return words;
    text.remove_prefix(start);
    words.push_back(text.substr(0, text.find_first_of(separators)));
    text.remove_prefix(words.back().size());
  }
}

std::string Read(const char* path) { return ReadFile(path, 1U << 20U).value_or(std::string()); }

// Converts "MemFree" and "Active(anon)" to Kata's names mem_free and active_anon.
std::string SnakeCase(std::string_view name) {
  std::string result;
  char before = '_';
  for (const char c : name) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (c == '(' || c == '_') {
      if (before != '_') result += '_';
    } else if (c != ')') {
      if (upper && before >= 'a' && before <= 'z') result += '_';
      result += upper ? static_cast<char>(c | 0x20) : c;
    }
    before = c == '(' ? '_' : c;
  }
  return result;
}

class Text {
 public:
  // Starts a metric; the samples that follow belong to it.
  void Begin(const char* prefix, std::string_view name, const char* type = "gauge") {
    name_ = prefix;
    name_ += name;
    text_ += "# TYPE " + name_ + " " + type + "\n";
  }
  // labels: such as "item=\"x\"", or empty.
  void Add(std::string_view labels, std::string_view value) {
    text_ += name_;
    if (!labels.empty()) {
      text_ += '{';
      text_ += labels;
      text_ += '}';
    }
    text_ += ' ';
    text_ += value;
    text_ += '\n';
  }
  void Add(std::string_view labels, uint64_t value) { Add(labels, fmt::to_string(value)); }
  void Item(std::string_view item, uint64_t value) { Add(Label("item", item), value); }
  void Single(const char* prefix, std::string_view name, uint64_t value, const char* type = "gauge") {
    Begin(prefix, name, type);
    Add("", value);
  }
  static std::string Label(std::string_view name, std::string_view value) {
    std::string label(name);
    label += "=\"";
    for (const char c : value) {
      if (c == '"' || c == '\\') label += '\\';
      if (c != '\n') label += c;
    }
    return label + '"';
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string name_;
  std::string text_;
};

// Calls each(words) for each line of text that has words.
template <typename Each>
void ForLines(const std::string& text, Each each) {
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const auto words = Words(line);
    if (!words.empty()) each(words);
  }
}

// Adds a sample for each line "Name: value [kB]" of a file.
void AddPairs(Text& out, const char* path, bool all_names, std::string (*convert)(std::string_view)) {
  ForLines(Read(path), [&](const std::vector<std::string_view>& words) {
    const bool kib = words.size() == 3 && words[2] == "kB";
    const bool wanted = all_names || kib || words[0].ends_with("_switches");
    if (words.size() < 2 || !wanted) return;
    out.Item(convert(words[0]), Number(words[1]) * (kib ? 1024 : 1));
  });
}

std::string LowerCase(std::string_view name) {
  std::string result(name);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; });
  return result;
}

// Adds a sample for each value of a line, from the index first on, under the names in columns (separated by spaces).
void AddColumns(Text& out, const std::string& label, const std::vector<std::string_view>& words, size_t first,
                std::string_view columns) {
  for (const std::string_view column : Words(columns)) {
    if (first >= words.size()) return;
    out.Add(label + "," + Text::Label("item", column), words[first++]);
  }
}

void AddAgent(Text& out) {
  const auto tick = static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  // proc(5), /proc/PID/stat: the name in parentheses may contain spaces. Fields are counted from the state, number 3.
  const std::string stat = Read("/proc/self/stat");
  const auto fields = Words(std::string_view(stat).substr(std::min(stat.rfind(')') + 1, stat.size())));
  const auto field = [&](size_t number) { return number - 3 < fields.size() ? Number(fields[number - 3]) : 0; };
  const uint64_t ticks = field(14) + field(15);
  uint64_t boot = 0;
  ForLines(Read("/proc/stat"), [&](const auto& words) {
    if (words[0] == "btime" && words.size() > 1) boot = Number(words[1]);
  });
  uint64_t open_fds = 0;
  if (const auto directory = Open("/proc/self/fd", O_RDONLY | O_DIRECTORY)) {
    const auto names = ListDir(directory->get());
    if (names) open_fds = names->size() - 1;  // the listing itself has one descriptor open
  }
  rlimit files{};
  (void)getrlimit(RLIMIT_NOFILE, &files);

  out.Single(kAgent, "threads", field(20));
  out.Single(kAgent, "total_time", ticks);
  out.Single(kAgent, "total_vm", field(23));
  out.Single(kAgent, "total_rss", field(24) * page);
  out.Begin(kAgent, "proc_stat");
  const std::pair<const char*, size_t> times[] = {{"utime", 14}, {"stime", 15}, {"cutime", 16}, {"cstime", 17}};
  for (const auto& [name, number] : times) out.Item(name, field(number));
  out.Begin(kAgent, "proc_status");
  AddPairs(out, "/proc/self/status", /*all_names=*/false, LowerCase);
  out.Begin(kAgent, "io_stat");
  ForLines(Read("/proc/self/io"), [&](const auto& words) {
    if (words.size() < 2) return;
    std::string name(words[0]);
    std::erase(name, '_');
    out.Item(name, Number(words[1]));
  });
  out.Begin(kAgent, "process_cpu_seconds_total", "counter");
  out.Add("", fmt::format("{}.{:02}", ticks / tick, ticks % tick * 100 / tick));
  out.Single(kAgent, "process_max_fds", files.rlim_cur);
  out.Single(kAgent, "process_open_fds", open_fds);
  out.Single(kAgent, "process_resident_memory_bytes", field(24) * page);
  out.Single(kAgent, "process_virtual_memory_bytes", field(23));
  out.Single(kAgent, "process_start_time_seconds", boot + field(22) / tick);
}

void AddFilesystems(Text& out) {
  std::string bytes;
  std::vector<std::pair<std::string, struct statvfs>> all;
  ForLines(Read("/proc/self/mounts"), [&](const std::vector<std::string_view>& words) {
    // Only file systems with blocks: disks, tmpfs and virtio-fs, which include each container's root.
    struct statvfs info {};
    if (words.size() < 3 || all.size() >= 64) return;
    std::string path = UnescapeMountinfo(words[1]);
    if (statvfs(path.c_str(), &info) == 0 && info.f_blocks != 0) all.emplace_back(std::move(path), info);
  });
  out.Begin(kGuest, "filesystem_bytes");
  for (const auto& [path, info] : all) {
    const std::string label = Text::Label("mountpoint", path) + ",";
    out.Add(label + Text::Label("item", "total"), info.f_blocks * info.f_frsize);
    out.Add(label + Text::Label("item", "free"), info.f_bfree * info.f_frsize);
    out.Add(label + Text::Label("item", "available"), info.f_bavail * info.f_frsize);
  }
  out.Begin(kGuest, "filesystem_inodes");
  for (const auto& [path, info] : all) {
    const std::string label = Text::Label("mountpoint", path) + ",";
    out.Add(label + Text::Label("item", "total"), info.f_files);
    out.Add(label + Text::Label("item", "free"), info.f_ffree);
  }
}

void AddGuest(Text& out) {
  // "0.00 0.01 0.05 1/123 456"
  const std::string load = Read("/proc/loadavg");
  const auto words = Words(load, " \n");
  if (words.size() > 3) {
    out.Begin(kGuest, "load");
    out.Add(Text::Label("item", "load1"), words[0]);
    out.Add(Text::Label("item", "load5"), words[1]);
    out.Add(Text::Label("item", "load15"), words[2]);
    out.Begin(kGuest, "tasks");
    out.Item("cur", Number(words[3]));
    out.Item("max", Number(words[3].substr(std::min(words[3].find('/') + 1, words[3].size()))));
  }
  out.Begin(kGuest, "cpu_time");
  ForLines(Read("/proc/stat"), [&](const std::vector<std::string_view>& cpu) {
    if (!cpu[0].starts_with("cpu")) return;
    const std::string_view number = cpu[0].substr(3);
    AddColumns(out, Text::Label("cpu", number.empty() ? "total" : number), cpu, 1,
               "user nice system idle iowait irq softirq steal guest guest_nice");
  });
  out.Begin(kGuest, "vm_stat");
  ForLines(Read("/proc/vmstat"), [&](const auto& line) {
    if (line.size() > 1) out.Item(line[0], Number(line[1]));
  });
  out.Begin(kGuest, "meminfo");
  AddPairs(out, "/proc/meminfo", /*all_names=*/true, SnakeCase);
  out.Begin(kGuest, "netdev_stat");
  ForLines(Read("/proc/net/dev"), [&](const std::vector<std::string_view>& line) {
    // The two heading lines have fewer words.
    if (line.size() < 17) return;
    AddColumns(out, Text::Label("interface", line[0]), line, 1,
               "recv_bytes recv_packets recv_errs recv_drop recv_fifo recv_frame recv_compressed recv_multicast "
               "sent_bytes sent_packets sent_errs sent_drop sent_fifo sent_colls sent_carrier sent_compressed");
  });
  out.Begin(kGuest, "diskstat");
  ForLines(Read("/proc/diskstats"), [&](const std::vector<std::string_view>& line) {
    if (line.size() < 4) return;
    AddColumns(out, Text::Label("disk", line[2]), line, 3,
               "reads merged sectors_read time_reading writes writes_merged sectors_written time_writing in_progress "
               "time_in_progress weighted_time_in_progress discards discards_merged sectors_discarded "
               "time_discarding flushes time_flushing");
  });
  AddFilesystems(out);
}

}  // namespace

std::string Metrics(uint64_t scrapes) {
  Text out;
  out.Single(kAgent, "scrape_count", scrapes, "counter");
  AddAgent(out);
  AddGuest(out);
  return out.Take();
}

}  // namespace kata::agent
