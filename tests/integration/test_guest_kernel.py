# SPDX-License-Identifier: Apache-2.0
"""What the guest's kernel offers to a privileged container, by the programs that people use for it: those of the host."""
import os

import debian
import harness
from harness import SharedCase

# "full": that flavour of the kernel, for which there are more tests; `make kernel-full` builds it.
FLAVOUR = os.environ.get("KATA_TEST_KERNEL_FLAVOUR", "minimal")

# What "all" of an engine's --cap-add or --privileged is good for here.
CAPABILITIES = """CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER KILL MKNOD NET_ADMIN NET_BIND_SERVICE NET_RAW SETGID SETUID
    SYS_ADMIN SYS_CHROOT SYS_PTRACE SYS_RESOURCE""".split()
DEVICES = {"fuse": 229, "net/tun": 200, "loop-control": 237, "mapper/control": 236}

MATCHES = """
-m addrtype --dst-type LOCAL
-m bpf --bytecode 1,6\\ 0\\ 0\\ 1
-m cgroup --path /
-m comment --comment words
-m connbytes --connbytes 1000 --connbytes-dir both --connbytes-mode bytes
-m connlimit --connlimit-above 10
-m connmark --mark 1
-m conntrack --ctstate ESTABLISHED,RELATED
-m dscp --dscp 8
-m ecn --ecn-ip-ect 1
-m hashlimit --hashlimit-upto 5/sec --hashlimit-mode srcip --hashlimit-name some
-m helper --helper ftp
-m iprange --src-range {host}-{host}
-m length --length 100
-m limit --limit 5/min
-m mac --mac-source 02:00:00:00:00:01
-m mark --mark 1
-m multiport -p tcp --dports 80,443
-m physdev --physdev-in none
-m pkttype --pkt-type broadcast
-m quota --quota 1000
-m recent --set --name some
-m set --match-set addresses src
-m socket --transparent
-m statistic --mode random --probability 0.5
-m string --algo bm --string words
-m tcpmss -p tcp --tcp-flags SYN,RST SYN --mss 1:500
-m time --timestart 01:00 --timestop 02:00
-m u32 --u32 0\\&0xFFFF=100
"""
TARGETS = """
mangle -A PREROUTING -j CHECKSUM --checksum-fill
mangle -A POSTROUTING -j CLASSIFY --set-class 1:1
mangle -A PREROUTING -j CONNMARK --set-mark 1
mangle -A PREROUTING -j DSCP --set-dscp 8
mangle -A PREROUTING -j MARK --set-mark 1
mangle -A PREROUTING -j SET --add-set addresses src
mangle -A PREROUTING -j TEE --gateway {host}
mangle -A PREROUTING -p tcp -j TPROXY --on-port 15001
mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
filter -A INPUT -j LOG
filter -A INPUT -j NFLOG --nflog-group 5
filter -A INPUT -j NFQUEUE --queue-num 5
filter -A INPUT -j REJECT
raw -A PREROUTING -j CT --zone 5
raw -A PREROUTING -j NOTRACK
raw -A PREROUTING -m rpfilter --invert -j DROP
nat -A POSTROUTING -j MASQUERADE
nat -A POSTROUTING -j NETMAP --to {net}
nat -A OUTPUT -p tcp -j DNAT --to-destination {server}:80
nat -A OUTPUT -p tcp -j REDIRECT --to-ports 15001
"""
NFTABLES = """
table inet some {
    set ports { type inet_service; flags dynamic,timeout; size 100; timeout 1m; }
    quota allowance { over 10 mbytes }
    counter seen { }
    ct helper transfers { type "ftp" protocol tcp; }
    flowtable fast { hook ingress priority 0; devices = { lo }; }
    chain input {
        type filter hook input priority 0;
        quota name "allowance" drop
        quota over 10 mbytes drop
        counter name "seen"
        tcp dport 21 ct helper set "transfers"
        tcp dport 22 ct count over 10 reject
        tcp dport 23 add @ports { tcp dport limit rate 5/minute }
        fib daddr type local accept
        socket transparent 1 accept
        log group 5 queue num 5 bypass
        synproxy mss 1460 wscale 7
    }
    chain before { type filter hook prerouting priority mangle; meta l4proto tcp tproxy to :15001; ct zone set 5; notrack; }
    chain through { type filter hook forward priority 0; meta l4proto tcp flow add @fast; }
    chain after {
        type nat hook postrouting priority srcnat
        ip saddr 192.0.2.0/24 masquerade
        snat ip to jhash ip saddr mod 2 map { 0 : 192.0.2.1, 1 : 192.0.2.2 }
        snat ip to numgen inc mod 2 map { 0 : 192.0.2.1, 1 : 192.0.2.2 }
    }
}
table netdev some { chain in { type filter hook ingress device lo priority 0; fib saddr type local dup to lo; }; }
table bridge some { chain in { type filter hook input priority 0; meta ibrname "some" ct state new reject; }; }
table arp some { chain in { type filter hook input priority 0; arp operation request accept; }; }
"""
SETS = """
bitmap:ip range 192.0.2.0/24
bitmap:ip,mac range 192.0.2.0/24
bitmap:port range 1-99
hash:ip
hash:ip,mac
hash:ip,mark
hash:ip,port
hash:ip,port,ip
hash:ip,port,net
hash:mac
hash:net
hash:net,iface
hash:net,net
hash:net,port
hash:net,port,net
list:set
"""
QUEUES = """
bfifo
cake
codel
fq
fq_codel
hfsc
netem delay 1ms
pfifo
prio
red limit 400000 min 30000 max 90000 avpkt 1000 burst 55 bandwidth 1mbit
sfq
tbf rate 1mbit burst 1kb latency 1ms
"""
LINKS = """
type bridge
type dummy
type ifb
type vrf table 10
type wireguard
type veth peer name other
type geneve id 5 remote 192.0.2.1
type vxlan id 5 dev base dstport 4789
type gre remote 192.0.2.1
type gretap remote 192.0.2.1
type erspan remote 192.0.2.1 seq key 1 erspan_ver 1
type ip6gre remote 2001:db8::1
type ip6gretap remote 2001:db8::1
type ipip remote 192.0.2.1
type sit remote 192.0.2.1
type ip6tnl remote 2001:db8::1
link base type macvlan
link base type macvtap
link other type ipvlan
link other type vlan id 5
"""

# Runs lines of a shell one by one, and says which fail.
EACH = 'while read -r line; do sh -c "$line" </dev/null >/tmp/said 2>&1 || { echo "$line:"; cat /tmp/said; }; done'

# Nodes of disks are made as udev would, of which a container has none.
LOOP = "for number in 0 1; do test -e /dev/loop$number || mknod /dev/loop$number b 7 $number; done"

# How many of three datagrams arrive at port 7. One to port 8 goes last, and so tells that all have had their chance.
COUNT = """
import socket
ends = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
for end, port in zip(ends, (7, 8)):
    end.bind(("127.0.0.1", port))
for port in (7, 7, 7, 8):
    ends[1].sendto(b"x" * 72, ("127.0.0.1", port))
ends[1].recv(100)
count = 0
try:
    while ends[0].recv(100, socket.MSG_DONTWAIT):
        count += 1
except BlockingIOError:
    print(count)
"""


@harness.kata_only
class GuestKernelTest(SharedCase):
    image = None

    @classmethod
    def prepare(cls, container):
        container.world.configure(f'[hypervisor.qemu]\nkernel_flavour = "{FLAVOUR}"\n')
        for name in ("dev", "etc", "mnt", "proc", "run", "sys", "tmp", "usr"):
            (container.rootfs / name).mkdir()
        for name in ("bin", "lib", "lib64", "sbin"):
            (container.rootfs / name).symlink_to(f"usr/{name}")
        (container.rootfs / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
        (container.rootfs / "etc/mtab").symlink_to("../proc/self/mounts")
        container.mount("/usr", "/usr", "rbind", "ro")
        container.mount("tmpfs", "/tmp", type="tmpfs")
        container.process["env"] = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"COUNT={COUNT}"]
        names = [f"CAP_{name}" for name in CAPABILITIES]
        container.process["capabilities"] = {kind: names for kind in ("bounding", "effective", "permitted")}
        container.linux.update(maskedPaths=[], readonlyPaths=[])
        container.linux["resources"]["devices"] = [{"allow": True, "access": "rwm"}]
        container.linux["devices"] = [{"path": f"/dev/{name}", "type": "c", "major": 10, "minor": minor, "fileMode": 0o600}
                                      for name, minor in DEVICES.items()]  # fmt: skip

    def in_a_network(self, *command, input=None):
        """A command in a network namespace of its own with lo up."""
        return self.shared.exec("/usr/bin/unshare", "--net", "/bin/sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command,
                                input=input)  # fmt: skip

    def assert_each(self, *lines):
        """Each line is a command, and none fails."""
        self.assert_run(self.in_a_network("/bin/sh", "-c", EACH, input="\n".join([*lines, ""]).encode()), 0, "")

    def assert_script(self, script, out=""):
        self.assert_run(self.in_a_network("/bin/sh", "-ec", script), 0, out)

    def assert_python(self, script):
        self.assert_run(self.in_a_network("/usr/bin/python3", "-c", script))

    def test_iptables(self):
        """Both interfaces and both versions of IP; the parts are the same for all four pairs."""
        for tables, family, words in (
            ("iptables-legacy", "inet", {"host": "192.0.2.1", "net": "192.0.2.0/24", "server": "192.0.2.1"}),
            ("ip6tables-nft", "inet6", {"host": "2001:db8::1", "net": "2001:db8::/64", "server": "[2001:db8::1]"}),
        ):
            with self.subTest(tables=tables):
                self.assert_each(f"ipset create addresses hash:ip family {family}",
                                 *[f"{tables} -A INPUT {match.format(**words)}" for match in MATCHES.strip().split("\n")],
                                 *[f"{tables} -t {target.format(**words)}" for target in TARGETS.strip().split("\n")])  # fmt: skip

    def test_arptables_and_ebtables(self):
        self.assert_each("arptables-nft -A INPUT --source-ip 192.0.2.1 -j DROP",
                         "ebtables-nft -A FORWARD -s 02:00:00:00:00:01 -j DROP")  # fmt: skip

    def test_nftables(self):
        self.assert_run(self.in_a_network("/usr/sbin/nft", "-f", "-", input=NFTABLES.encode()), 0, "")

    def test_what_rules_do(self):
        port = "-p udp --dport 7"
        hashlimit = "--hashlimit-above 2/day --hashlimit-burst 2 --hashlimit-mode dstip --hashlimit-name some"
        for rule, arrive in (
            ("", 3),
            (f"iptables-legacy -A INPUT {port} -m hashlimit {hashlimit} -j DROP", 2),
            (f"iptables-nft -A INPUT {port} -m string --algo kmp --string xxx -j DROP", 0),
            (f"ipset create some hash:ip && ipset add some 127.0.0.1 && iptables-nft -A INPUT {port} -m set --match-set some src -j DROP", 0),
            ("nft 'table ip t { chain c { type filter hook input priority 0; udp dport 7 quota over 250 bytes drop; }; }'", 2),
            ("tc qdisc add dev lo root handle 1: prio && "
             "tc filter add dev lo parent 1: protocol ip u32 match ip dport 7 0xffff flowid 1:3 && "
             "tc qdisc add dev lo parent 1:3 netem loss 100%", 0),
        ):  # fmt: skip
            with self.subTest(rule=rule):
                self.assert_script(f'{rule}\npython3 -c "$COUNT"', f"{arrive}\n")

    def test_ipset(self):
        self.assert_each(*[f"ipset create some{number} {kind}" for number, kind in enumerate(SETS.strip().split("\n"))])

    def test_ipvs(self):
        schedulers = "rr wrr lc wlc fo ovf lblc lblcr dh sh mh sed nq".split()
        self.assert_each(*[f"ipvsadm -A -t 192.0.2.1:{80 + number} -s {name}" for number, name in enumerate(schedulers)],
                         "ipvsadm -a -t 192.0.2.1:80 -r 192.0.2.2:80 -m", "ipvsadm -A -t [2001:db8::1]:80 -s rr",
                         "iptables-legacy -A INPUT -m ipvs --vaddr 192.0.2.1 -j ACCEPT")  # fmt: skip

    def test_tc(self):
        self.assert_each(
            *[f"tc qdisc replace dev lo root {queue}" for queue in QUEUES.strip().split("\n")],
            "ip link add ifb0 type ifb",
            "tc qdisc replace dev lo root handle 1: htb default 10",
            "tc class add dev lo parent 1: classid 1:10 htb rate 1mbit ceil 2mbit",
            "tc filter add dev lo parent 1: protocol ip u32 match ip dport 80 0xffff flowid 1:10",
            "tc filter add dev lo parent 1: protocol ip flower dst_ip 192.0.2.1 flowid 1:10",
            "tc filter add dev lo parent 1: protocol ip handle 1 fw flowid 1:10",
            "tc qdisc add dev lo clsact",
            "tc filter add dev lo ingress matchall action mirred egress redirect dev ifb0",
            "tc filter add dev lo egress protocol ip matchall action police rate 1mbit burst 10k",
            "tc filter add dev lo egress protocol ip matchall action skbedit mark 5 action connmark action csum ip",
        )

    def test_links(self):
        self.assert_each("ip link add base type dummy",
                         *[f"ip link add some{number} {link}" for number, link in enumerate(LINKS.strip().split("\n"))])  # fmt: skip

    def test_no_links_that_nobody_made(self):
        """Drivers make no bond0 or tunl0, in the pod's network or in a new one."""
        links = "ip -o link show | cut -d: -f2"
        self.assert_run(self.shared.exec_sh(f"{links}; unshare --net sh -c '{links}'"), 0, " lo\n lo\n")

    def test_tun(self):
        self.assert_each("ip tuntap add some0 mode tun && ip tuntap add some1 mode tap && ip link set some1 up")
        self.assert_python("""
import fcntl, socket, struct, subprocess
tun = open("/dev/net/tun", "r+b", buffering=0)
fcntl.ioctl(tun, 0x400454ca, struct.pack("16sH22x", b"some0", 0x1001))  # TUNSETIFF: IFF_TUN, IFF_NO_PI
subprocess.run("ip addr add 192.0.2.1/24 dev some0 && ip link set some0 up", shell=True, check=True)
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"through the tunnel", ("192.0.2.9", 9))
while not tun.read(2000).endswith(b"through the tunnel"):
    pass
""")

    def test_mptcp(self):
        self.assert_python("""
import socket, struct
IPPROTO_MPTCP, SOL_MPTCP, MPTCP_INFO, FALLBACK = 262, 284, 1, 1
server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
server.bind(("127.0.0.1", 0))
server.listen()
client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
client.connect(server.getsockname())
peer, _ = server.accept()
client.sendall(b"words")
assert peer.recv(100) == b"words"
flags, = struct.unpack_from("8xI", client.getsockopt(SOL_MPTCP, MPTCP_INFO, 100))
assert not flags & FALLBACK, flags
""")

    def test_af_alg(self):
        self.assert_python("""
import hashlib, socket
def operation(kind, name, key=None):
    algorithm = socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)
    algorithm.bind((kind, name))
    if key:
        algorithm.setsockopt(socket.SOL_ALG, socket.ALG_SET_KEY, key)
    return algorithm.accept()[0]
for name in ("md5", "sha1", "sha256", "sha512"):
    end = operation("hash", name)
    end.sendall(b"words")
    assert end.recv(64) == hashlib.new(name, b"words").digest(), name
for name, size in (("cbc(aes)", 16), ("ctr(aes)", 16), ("ecb(aes)", 0), ("xts(aes)", 16)):
    end, iv = operation("skcipher", name, bytes(range(32))), {"iv": bytes(16)} if size else {}
    end.sendmsg_afalg([b"sixteen letters."], op=socket.ALG_OP_ENCRYPT, **iv)
    secret = end.recv(16)
    end.sendmsg_afalg([secret], op=socket.ALG_OP_DECRYPT, **iv)
    assert secret != end.recv(16) == b"sixteen letters.", name
operation("aead", "gcm(aes)", bytes(range(32)))
operation("aead", "rfc7539(chacha20,poly1305)", bytes(range(32)))
""")

    def test_fuse(self):
        """As Podman without root uses it in a container."""
        self.assert_script("""
            mkdir -p /tmp/lower /tmp/upper /tmp/work && echo below >/tmp/lower/file
            fuse-overlayfs -o lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work /mnt
            cat /mnt/file && echo above >/mnt/file && cat /mnt/file /tmp/lower/file /tmp/upper/file
            stat -f -c %T /mnt && umount /mnt""", "below\nabove\nbelow\nabove\nfuseblk\n")  # fmt: skip

    def test_loop_and_device_mapper(self):
        key = "0123456789abcdef" * 8
        self.assert_script(f"""
            truncate -s 16M /tmp/image && mkfs.ext4 -q /tmp/image
            {LOOP}
            mount -o loop /tmp/image /mnt && echo words >/mnt/file && umount /mnt
            losetup /dev/loop0 /tmp/image
            dmsetup create --noudevsync plain --table '0 32768 linear 7:0 0'
            dmsetup mknodes && mount /dev/mapper/plain /mnt && cat /mnt/file && umount /mnt && dmsetup remove plain
            dmsetup create --noudevsync secret --table '0 32768 crypt aes-xts-plain64 {key} 0 7:0 0'
            dmsetup mknodes && mkfs.ext4 -q /dev/mapper/secret && mount /dev/mapper/secret /mnt && umount /mnt
            dmsetup remove secret && losetup -d /dev/loop0
            ! mount -o loop /tmp/image /mnt 2>/dev/null""", "words\n")  # fmt: skip

    def test_binfmt_misc(self):
        self.assert_script("""
            mount -t binfmt_misc none /mnt
            echo ':some:M::SOME::/bin/cat:' >/mnt/register
            printf 'SOME words' >/tmp/program && chmod +x /tmp/program && /tmp/program
            echo -1 >/mnt/some && umount /mnt""", "SOME words")  # fmt: skip


# Servers of files and their clients, of this suite of Debian, each with all that it needs.
SUITE = "bookworm"
REMOTE = ("samba", "cifs-utils", "nfs-ganesha-mem", "nfs-common")
# One root directory with all of them, in a tmpfs.
REMOTE_ROOT = f"""
mkdir -p /tmp/remote && mount -t tmpfs tmpfs /tmp/remote && cd /tmp/remote && mkdir upper work
mount -t overlay overlay -o lowerdir={":".join(f"/srv/{package}" for package in REMOTE)},upperdir=upper,workdir=work /mnt
cd /mnt && mkdir -p dev etc media proc run srv/share tmp
mount --rbind /dev dev && mount -t proc proc proc && chmod 1777 tmp && cp /etc/passwd etc && echo root:x:0: >etc/group
serving() {{ until ss -ltn | grep -q ":$1 "; do kill -0 $! || exit 1; sleep 0.1; done; }}
"""
# The files of this server are in its memory.
NFS_SERVER = """
mkdir -p var/run/ganesha var/lib/nfs/ganesha
cat >etc/ganesha/ganesha.conf <<END
NFS_CORE_PARAM { Protocols = 4; Enable_NLM = false; Enable_RQUOTA = false; }
NFSv4 { Graceless = true; RecoveryRoot = /var/lib/nfs; }
EXPORT { Export_Id = 1; Path = /some; Pseudo = /some; Access_Type = RW; Squash = None; SecType = sys; FSAL { Name = MEM; } }
MEM { Inode_Size = 4096; }
END
chroot . /usr/bin/ganesha.nfsd -F -L /tmp/said -p /tmp/pid &
serving 2049
"""
SMB_SERVER = """
echo nobody:x:65534:0::/:/bin/sh >>etc/passwd
mkdir -p run/samba var/lib/samba/private var/cache/samba var/log/samba
cat >etc/samba/smb.conf <<END
[global]
server role = standalone server
disable netbios = yes
smb ports = 445
[some]
path = /srv/share
read only = no
END
printf 'secret\nsecret\n' | chroot . /usr/bin/smbpasswd -s -a root >/dev/null
chroot . /usr/sbin/smbd --foreground --no-process-group &
serving 445
"""


class FullKernelTest(GuestKernelTest):
    """What only the other flavour has, beside all that both have."""

    def test_its_name(self):
        self.assertRegex(self.assert_run(self.shared.exec("/usr/bin/uname", "-r")).out, r"-kata-full\n$")

    @classmethod
    def prepare(cls, container):
        super().prepare(container)
        for package in REMOTE:
            (container.rootfs / "srv" / package).mkdir(parents=True)
            container.mount(debian.tree(SUITE, package), f"/srv/{package}", "rbind", "ro")

    def with_server(self, server, script, out):
        """The servers and all mounts end with the script."""
        self.assert_run(self.shared.exec("/usr/bin/unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-ec",
                                         f"ip link set lo up{REMOTE_ROOT}{server}{script}"), 0, out)  # fmt: skip

    def test_nfs(self):
        for version in ("4.0", "4.2"):
            with self.subTest(version):
                self.with_server(NFS_SERVER, f"""
                    mount() {{ chroot . mount.nfs4 127.0.0.1:/some /media -o vers={version}; }}
                    mount && stat -f -c %T media && echo words >media/file && flock media/file chmod 640 media/file && umount media
                    mount && cat media/file && stat -c %a media/file && umount media""", "nfs\nwords\n640\n")  # fmt: skip

    def test_smb(self):
        for version in ("2.1", "3.1.1"):
            with self.subTest(version):
                self.with_server(SMB_SERVER, f"""
                    chroot . mount.cifs //127.0.0.1/some /media -o user=root,password=secret,vers={version}
                    stat -f -c %T media && echo words >media/file && cat srv/share/file
                    echo others >srv/share/other && cat media/other && umount media""", "smb2\nwords\nothers\n")  # fmt: skip

    def test_bond(self):
        self.assert_script("""
            ip link add bond5 type bond mode active-backup
            for name in one two; do ip link add $name type dummy && ip link set $name master bond5; done
            ip link set bond5 up && ip link set bond5 type bond active_slave two && grep -E '^(Currently|Slave Int)' /proc/net/bonding/bond5""",
            "Currently Active Slave: two\nSlave Interface: one\nSlave Interface: two\n")  # fmt: skip

    def test_file_systems(self):
        self.assert_script(f"""
            for name in btrfs exfat f2fs iso9660 msdos ntfs3 udf vfat; do grep -qw $name /proc/filesystems || echo $name; done
            truncate -s 128M /tmp/image && mkfs.btrfs -q /tmp/image >/dev/null
            {LOOP}
            mount -o loop /tmp/image /mnt && btrfs subvolume create /mnt/sub >/dev/null && ls /mnt && umount /mnt""", "sub\n")  # fmt: skip

    def test_disks(self):
        self.assert_script(f"""
            rm -f /tmp/image && truncate -s 16M /tmp/image /tmp/cow
            {LOOP}
            losetup /dev/loop0 /tmp/image && losetup /dev/loop1 /tmp/cow
            dmsetup create --noudevsync some --table '0 32768 snapshot 7:0 7:1 P 8'
            dmsetup mknodes && mkfs.ext4 -q /dev/mapper/some && mount /dev/mapper/some /mnt && umount /mnt
            dmsetup remove some && losetup -d /dev/loop0 && losetup -d /dev/loop1 && tr -d '\\0' </tmp/image | wc -c
            ls /sys/block | grep -E 'nbd|zram' || cat /sys/class/zram-control/hot_add""", "0\n0\n")  # fmt: skip

    def test_ipsec(self):
        self.assert_each(
            "ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 5 mode tunnel aead 'rfc4106(gcm(aes))' 0x0102030405060708090a0b0c0d0e0f1011121314 128",
            "ip link add some type xfrm dev lo if_id 5",
            "iptables-legacy -A INPUT -m policy --dir in --pol ipsec -j ACCEPT",
        )

    def test_rarer_networks(self):
        self.assert_python("import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).listen()")
        self.assert_each("ip link add base type dummy && ip link add link base some1 type macsec",
                         "ip l2tp add tunnel tunnel_id 1 peer_tunnel_id 1 encap ip local 127.0.0.1 remote 127.0.0.2",
                         "ebtables-nft -A FORWARD -p 0x0800 --ip-source 192.0.2.1 -j DROP",
                         "ebtables-nft -t nat -A PREROUTING -d 02:00:00:00:00:01 -j redirect",
                         *[f"tc qdisc replace dev lo root {queue}" for queue in ("drr", "fq_pie", "hhf", "pie", "qfq", "sfb")])  # fmt: skip


def load_tests(loader, _, __):
    """The flavour that is there, and no more: it is built by itself."""
    return loader.loadTestsFromTestCase(FullKernelTest if FLAVOUR == "full" else GuestKernelTest)

if __name__ == "__main__":
    harness.main()
