// SPDX-License-Identifier: Apache-2.0
// The parts of the C++ and C libraries that the agent is linked with but never uses, replaced by nothing, so that they
// and what they need (locales, wide characters, name resolution, the demangler) stay out of the binary and of its
// memory: about 900 kB. Whatever would really need one of them ends the agent loudly, or gets an error.
#include <netdb.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <ios>

// Every file that includes <iostream>, as protobuf's headers do, has one of these: it makes cout, cin and their
// locales.
std::ios_base::Init::Init() = default;
std::ios_base::Init::~Init() = default;

// What std::terminate calls. The library's own prints the exception's demangled name.
namespace __gnu_cxx {
void __verbose_terminate_handler() { std::abort(); }
}  // namespace __gnu_cxx

extern "C" {

// istream::read(char*, long) and ostream::write(const char*, long), for protobuf's streams.
[[noreturn]] void kata_no_istream() __asm__("_ZNSi4readEPcl");
[[noreturn]] void kata_no_istream() { std::abort(); }
[[noreturn]] void kata_no_ostream() __asm__("_ZNSo5writeEPKcl");
[[noreturn]] void kata_no_ostream() { std::abort(); }

// libnl asks for these when it parses or prints names. Addresses are numbers here, and a static program that looks up
// names loads libraries of the guest into PID 1.
int getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**) { return EAI_FAIL; }
void freeaddrinfo(addrinfo*) {}
const char* gai_strerror(int) { return "name resolution is not available"; }
protoent* getprotobyname(const char*) { return nullptr; }
protoent* getprotobynumber(int) { return nullptr; }
int getnameinfo(const sockaddr*, socklen_t, char*, socklen_t, char*, socklen_t, int) { return EAI_FAIL; }
unsigned if_nametoindex(const char*) { return 0; }

// libnl reads the clock of traffic control and DECnet's addresses with these, and protobuf a float in text. What the
// agent reads, it reads with from_chars.
int __isoc99_fscanf(FILE*, const char*, ...) { return EOF; }
int __isoc99_sscanf(const char*, const char*, ...) { return EOF; }
float strtof(const char* text, char** end) { return static_cast<float>(std::strtod(text, end)); }
}
