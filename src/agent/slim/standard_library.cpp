// SPDX-License-Identifier: Apache-2.0
// Stubs for parts of the C++ and C libraries that are linked into the agent but never used. They keep these parts and
// their dependencies (locales, wide characters, name resolution, the demangler) out of the binary and its memory: about
// 900 kB. A call of a stub aborts the agent or returns an error.
#include <netdb.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <ios>

// Every file that includes <iostream>, as protobuf's headers do, has an object of this class. The original constructs
// cout, cin and their locales.
std::ios_base::Init::Init() = default;
std::ios_base::Init::~Init() = default;

// Called by std::terminate. The original prints the exception's name, for which it needs the demangler.
namespace __gnu_cxx {
void __verbose_terminate_handler() { std::abort(); }
}  // namespace __gnu_cxx

extern "C" {

// istream::read(char*, long) and ostream::write(const char*, long), for protobuf's streams.
[[noreturn]] void kata_no_istream() __asm__("_ZNSi4readEPcl");
[[noreturn]] void kata_no_istream() { std::abort(); }
[[noreturn]] void kata_no_ostream() __asm__("_ZNSo5writeEPKcl");
[[noreturn]] void kata_no_ostream() { std::abort(); }

// libnl calls these to parse or print names. The agent only uses numeric addresses. And name resolution in a static
// program would load shared libraries of the guest into PID 1.
int getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**) { return EAI_FAIL; }
void freeaddrinfo(addrinfo*) {}
const char* gai_strerror(int) { return "name resolution is not available"; }
protoent* getprotobyname(const char*) { return nullptr; }
protoent* getprotobynumber(int) { return nullptr; }
int getnameinfo(const sockaddr*, socklen_t, char*, socklen_t, char*, socklen_t, int) { return EAI_FAIL; }
unsigned if_nametoindex(const char*) { return 0; }

// libnl uses these for the clock of traffic control and for DECnet addresses, and protobuf for floats in text. The
// agent's own code uses from_chars.
int __isoc99_fscanf(FILE*, const char*, ...) { return EOF; }
int __isoc99_sscanf(const char*, const char*, ...) { return EOF; }
float strtof(const char* text, char** end) { return static_cast<float>(std::strtod(text, end)); }
}
