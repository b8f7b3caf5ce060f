# SPDX-License-Identifier: Apache-2.0
"""The namespaces that the containers of a pod share, or ask for in vain."""
import signal

import grpc

import harness
from cri import CriCase


class PidTest(CriCase):
    def target(self, container):
        def change(config):
            config.linux.security_context.namespace_options.pid = self.api.TARGET
            config.linux.security_context.namespace_options.target_id = container

        return change

    def test_a_container_that_looks_at_another(self):
        """As `kubectl debug --target` does."""
        pod = self.run_pod()
        main = self.start_container(pod, "main", "sh", "-c", "sleep 7777; exit 3")
        debug = self.start_container(pod, "debug", change=self.target(main))
        self.assertIn("sleep 7777", self.exec_sync(debug, "ps -o args").out)
        self.assert_run(self.exec_sync(debug, "cat /proc/1/cmdline | tr '\\0' ' '"), 0, "sh -c sleep 7777; exit 3 ")
        self.assert_run(self.exec_sync(debug, "kill $(ps -o pid,args | grep '[s]leep 7777' | cut -c 1-5)"), 0)
        self.assertEqual(self.exited(main).exit_code, 3)
        self.assertEqual(self.exited(debug).exit_code, 128 + signal.SIGKILL, "the namespace ends with its first process")

    def test_it_cannot_be_told_which(self):
        pod = self.run_pod()
        one = self.start_container(pod, "one")
        self.start_container(pod, "two")
        with self.assertRaisesRegex(grpc.RpcError, "cannot be told which is meant"):
            self.start_container(pod, "debug", change=self.target(one))
        self.assert_run(self.exec_sync(one, "echo unharmed"), 0, "unharmed\n")


class HostTest(CriCase):
    def assert_refused(self, words, **options):
        config = self.pod_config(self.name())
        for name, value in options.items():
            setattr(config.linux.security_context.namespace_options, name, value)
        with self.assertRaisesRegex(grpc.RpcError, words):
            self.run_pod(config=config)
        self.assert_nothing_left()

    def test_the_hosts_are_refused(self):
        self.assert_refused("host's pid namespace.*hostPID", pid=self.api.NODE)
        self.assert_refused("host's ipc namespace.*hostIPC", ipc=self.api.NODE)


if __name__ == "__main__":
    harness.main()
