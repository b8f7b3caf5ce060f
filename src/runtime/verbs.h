// SPDX-License-Identifier: Apache-2.0
// The verbs of kata-runtime, one file each. A verb returns the exit status, or an error for main to report.
#pragma once

#include "base/result.h"
#include "runtime/arguments.h"

namespace kata::runtime {

Result<int> Create(const Globals& globals, const CreateOptions& options);
Result<int> Run(const Globals& globals, const RunOptions& options);
Result<int> Start(const Globals& globals, const StartOptions& options);
Result<int> State(const Globals& globals, const StateOptions& options);
Result<int> Kill(const Globals& globals, const KillOptions& options);
Result<int> Delete(const Globals& globals, const DeleteOptions& options);
Result<int> Exec(const Globals& globals, const ExecOptions& options);
Result<int> Events(const Globals& globals, const EventsOptions& options);
Result<int> List(const Globals& globals, const ListOptions& options);
Result<int> Ps(const Globals& globals, const PsOptions& options);
Result<int> Pause(const Globals& globals, const PauseOptions& options);
Result<int> Resume(const Globals& globals, const ResumeOptions& options);
Result<int> Update(const Globals& globals, const UpdateOptions& options);
Result<int> Spec(const Globals& globals, const SpecOptions& options);
Result<int> Features(const Globals& globals, const FeaturesOptions& options);
Result<int> Check(const Globals& globals, const CheckOptions& options);
Result<int> Setup(const Globals& globals, const SetupOptions& options);
Result<int> Benchmark(const Globals& globals, const BenchmarkOptions& options);
Result<int> Version(const Globals& globals, const VersionOptions& options);
Result<int> ConfigPaths(const Globals& globals, const ConfigPathsOptions& options);

// The exit status of a failed exec, as with runc; other verbs exit with 1. It differs from most statuses of commands.
inline constexpr int kExecFailed = 255;

}  // namespace kata::runtime
