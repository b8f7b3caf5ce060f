# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' CRI as a kubelet speaks it to containerd, over its gRPC socket."""
import importlib
import re
import subprocess
import sys

import grpc

import harness
import leaks
import ttrpc
from containerd import BUSYBOX, ContainerdCase, busybox_archive, pause_archive

NAMESPACE = "k8s.io"
CNI = """{"cniVersion": "0.4.0", "name": "%(bridge)s", "plugins": [
  {"type": "bridge", "bridge": "%(bridge)s", "isGateway": true, "hairpinMode": true, "mtu": 1400, "ipam": {
   "type": "host-local", "dataDir": "%(tmp)s/ipam",
   "ranges": [[{"subnet": "%(subnet)s.0/24"}], [{"subnet": "%(subnet6)s/64"}]],
   "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}"""


def load_messages(directory):
    """The module of cri.proto's messages, generated into a directory."""
    here = str(harness.REPOSITORY / "tests/integration")
    subprocess.run(["protoc", f"--proto_path={here}", f"--python_out={directory}", "cri.proto"], check=True)
    sys.path.insert(0, str(directory))
    return importlib.import_module("cri_pb2")


class CriCase(ContainerdCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        daemon = cls.containerd
        cls.api = load_messages(daemon.tmp)
        # At most 15 letters, as every interface.
        cls.bridge = f"kata-{harness.os.getpid()}"[:15]
        # Another one than those of other runs beside this one.
        number = harness.os.getpid() % 12000  # up to 10.175, above which other tests have theirs
        cls.subnet, cls.subnet6 = f"10.{128 + number // 250}.{number % 250}", f"fd00:77:{number:x}::"
        values = {"bridge": cls.bridge, "tmp": daemon.tmp, "subnet": cls.subnet, "subnet6": cls.subnet6}
        (daemon.tmp / "cni" / "10-test.conflist").write_text(CNI % values)
        for archive in (busybox_archive(), pause_archive()):
            daemon.import_image(archive, NAMESPACE)
        # Before the first test, so that it is there before and after each.
        subprocess.run(["ip", "link", "add", cls.bridge, "type", "bridge"], check=True)
        cls.addClassCleanup(subprocess.run, ["ip", "link", "del", cls.bridge], check=True)
        cls.channel = grpc.insecure_channel(f"unix://{daemon.tmp}/c.sock")
        cls.addClassCleanup(cls.channel.close)

    def setUp(self):
        super().setUp()
        self.pods = []
        self.addCleanup(self._end_pods)

    def start_containerd(self):
        super().start_containerd()

        def answers():
            try:
                return self.call("Version")
            except grpc.RpcError:
                return None

        harness.wait_for(answers, "the CRI plugin answers")

    def _end_pods(self):
        while self.pods:
            self.end_pod(self.pods[-1])

    def end_pod(self, pod):
        """Stops and removes it, and asks again where a container's own end has crossed that, as a kubelet would.

        containerd 1.6 takes away what it knows of a task before it notes that the container has exited. Who stops
        the container in between is told that the connection is closed, or that it still runs; so with every runtime."""
        state = self.api.ContainerStateValue(state=self.api.CONTAINER_RUNNING)
        running = self.api.ContainerFilter(pod_sandbox_id=pod, state=state)
        for method in ("StopPodSandbox", "RemovePodSandbox"):
            try:
                self.call(method, pod_sandbox_id=pod)
            except grpc.RpcError as error:
                if not re.search("ttrpc: closed|is still running", error.details()):
                    raise
                harness.wait_for(lambda: not self.call("ListContainers", filter=running).containers, "all have exited")
                self.call(method, pod_sandbox_id=pod)
        self.pods.remove(pod)

    def call(self, method, **fields):
        return self.begin_call(method, harness.TIMEOUT, **fields).result()

    def begin_call(self, method, limit, /, **fields):
        """A future of the answer, which has so many seconds to come."""
        request = getattr(self.api, f"{method}Request")(**fields)
        reply = getattr(self.api, f"{method}Response")
        function = self.channel.unary_unary(
            f"/runtime.v1.RuntimeService/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=reply.FromString,
        )
        self.containerd.commands.append(f"{method} {fields}")
        return function.future(request, timeout=limit, wait_for_ready=True)

    def pod_config(self, name, **fields):
        config = self.api.PodSandboxConfig(hostname=name, log_directory=str(self.world.tmp / name), **fields)
        config.metadata.name = name
        config.metadata.uid = f"{name}-uid"
        config.metadata.namespace = "default"
        config.linux.SetInParent()
        return config

    def place(self, config):
        """Names its cgroup, as a kubelet does: other tests that run beside this one see by the name whose it is."""
        if not config.linux.cgroup_parent:
            config.linux.cgroup_parent = f"/{leaks.TAG}{config.metadata.name}"

    def run_pod(self, name="pod", config=None, handler="kata", **fields):
        """Its id and configuration."""
        config = config or self.pod_config(f"{self.name()}-{name}", **fields)
        if handler != "runc":  # which would leave the directory
            self.place(config)
        (self.world.tmp / config.metadata.name).mkdir()
        pod = self.call("RunPodSandbox", config=config, runtime_handler=handler).pod_sandbox_id
        self.pods.append(pod)
        return pod, config

    def create_container(self, pod, name, *command, change=None, **fields):
        pod, config = pod
        container = self.api.ContainerConfig(command=command, log_path=f"{name}.log", **fields)
        container.metadata.name = name
        container.image.image = BUSYBOX
        container.linux.SetInParent()
        # The container's own pid namespace, as the kubelet asks for unless told otherwise.
        container.linux.security_context.namespace_options.pid = self.api.CONTAINER
        if change:
            change(container)
        reply = self.call("CreateContainer", pod_sandbox_id=pod, config=container, sandbox_config=config)
        return reply.container_id

    def start_container(self, pod, name="main", *command, **options):
        container = self.create_container(pod, name, *(command or ("sleep", "10000")), **options)
        self.call("StartContainer", container_id=container)
        return container

    def exec_sync(self, container, script, timeout=60):
        reply = self.call("ExecSync", container_id=container, cmd=["sh", "-c", script], timeout=timeout)
        return harness.Result(["exec", script], reply.exit_code, reply.stdout, reply.stderr.decode(errors="replace"))

    def container_status(self, container):
        return self.call("ContainerStatus", container_id=container).status

    def exited(self, container):
        """Its status, once it has exited."""
        harness.wait_for(
            lambda: self.container_status(container).state == self.api.CONTAINER_EXITED, f"{container} has exited"
        )
        return self.container_status(container)

    def wait_at_shim(self, pod, container):
        """The exit status as the shim has it, with no containerd in between."""
        messages, api = ttrpc.load_messages(self.world.tmp, "ttrpc", "shim")
        (address,) = self.containerd.tmp.glob(f"state/*/k8s.io/{pod}/address")
        client = ttrpc.Client(address.read_text().removeprefix("unix://"), messages)
        self.addCleanup(client.close)
        request = api.WaitRequest(id=container)
        return client.call("containerd.task.v2.Task", "Wait", request, api.WaitResponse).exit_status

    def pod_addresses(self, pod):
        network = self.call("PodSandboxStatus", pod_sandbox_id=pod[0]).status.network
        return [network.ip, *(more.ip for more in network.additional_ips)]

    def log_of(self, pod, name):
        """(stream, text) of each line in the container's log."""
        path = self.world.tmp / pod[1].metadata.name / f"{name}.log"
        lines = [line.split(" ", 3) for line in path.read_text().splitlines()]
        return [(line[1], line[3]) for line in lines]
