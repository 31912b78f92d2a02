"""What the scripts of this directory share: servers on the loopback, pinned, and figures from the load generator.

Every server listens on 127.0.0.1 on a free port, keeps its files in a directory that goes away, and is ended by its
pid, whatever happens. What is compared takes turns, round by round, so that a slow phase of the machine meets all.
"""
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOKEN = "a-token-for-measurements-on-the-loopback"


def build():
    """Builds the server and the generator; gives the directory of the binaries."""
    if os.environ.get("OCTOSTORE_BENCH_BIN"):
        return os.path.abspath(os.environ["OCTOSTORE_BENCH_BIN"])
    if not shutil.which("cargo"):
        sys.exit("cargo is missing; install Rust, see https://rustup.rs")
    command = ["cargo", "build", "--release", "--locked", "--quiet", "-p", "octostore", "-p", "load", "--bins"]
    subprocess.run(command, cwd=ROOT, check=True)
    return os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release")


def install(packages):
    """Installs the Debian packages of the commands that are missing, as scripts/test does."""
    missing = [package for command, package in packages if not shutil.which(command) and not os.path.exists(command)]
    if missing:
        call = f"source {ROOT}/scripts/lib.sh && install_packages {' '.join(missing)}"
        subprocess.run(["bash", "-c", call], check=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Bench:
    """A directory, the servers that run in it, and the binaries. To be used with `with`."""

    def __init__(self, directory=None):
        self.bin = build()
        # A script that is told to end still ends its servers.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.work = tempfile.mkdtemp(prefix="octostore-bench-", dir=directory)
        self.servers = []
        # What was wrong with runs whose figures are used now; who prints a figure prints it too, then clears it.
        self.doubts = set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in list(self.servers):
            self.stop(server)
        shutil.rmtree(self.work, ignore_errors=True)

    def spawn(self, name, command, port=None, cores="0", env=None, user=None):
        """Starts a server on `cores`, and waits until it listens on `port`, or says where it listens."""
        log = os.path.join(self.work, f"{name}-{len(self.servers)}-{time.monotonic_ns()}.log")
        with open(log, "wb") as out:
            process = subprocess.Popen(["taskset", "-c", cores, *command], stdout=out, stderr=out, cwd=self.work,
                                       env={"PATH": os.environ["PATH"], **(env or {})}, user=user)
        server = Server(name, process, log)
        self.servers.append(server)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if process.poll() is not None:
                sys.exit(f"{name} ended with {process.returncode}:\n{read(log)}")
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", read(log)) if port is None else None
            if found:
                port = int(found.group(1))
            if port is not None and listens(port):
                server.port = port
                server.url = f"http://127.0.0.1:{port}"
                return server
            time.sleep(0.002)
        sys.exit(f"{name} did not start:\n{read(log)}")

    def octostore(self, name="octostore", workers=1, cores="0", database=None):
        database = database or os.path.join(self.work, f"{name}.db")
        return self.spawn(name, [f"{self.bin}/octostore", "serve", "--bind", "127.0.0.1:0", "--database", database,
                                 "--workers", str(workers), "--max-locks-per-user", "1000000000",
                                 "--max-connections", "20000"],
                          cores=cores, env={"STATIC_TOKENS": f"bench:{TOKEN}"})

    def limit(self):
        return self.spawn("limit", [f"{self.bin}/limit"])

    def redis(self):
        install([("redis-server", "redis-server")])
        port = free_port()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", self.work, "--save", "",
                   "--appendonly", "yes", "--appendfsync", "always"]
        return self.spawn("redis", command, port)

    def stop(self, server, sig="terminate"):
        self.servers.remove(server)
        getattr(server.process, sig)()
        try:
            server.process.wait(60)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()

    def load(self, server, *arguments, seconds=2, warmup=1, connections=64, depth=1, cores="1", protocol="octostore"):
        """One run of the generator; its figures by name."""
        command = ["taskset", "-c", cores, f"{self.bin}/load", "--terse", "--url", server.url, "--pid", str(server.pid),
                   "--protocol", protocol, "--seconds", str(seconds), "--warmup", str(warmup),
                   "--connections", str(connections), "--depth", str(depth), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TOKEN": TOKEN})
        if done.returncode:
            sys.exit(f"{server.name}: {done.stderr.strip()}")
        figures = {key: float(value) for key, value in (pair.split("=") for pair in done.stdout.split())}
        if figures["errors"] or figures["answers"] == 0 and seconds:
            self.doubts.add("with errors")
            print(f"warning: {server.name}: {figures['errors']:.0f} errors, {figures['answers']:.0f} answers", file=sys.stderr)
        return figures

    def rounds(self, count, runs):
        """`runs`: name to a function that gives figures. In turns; the median of each figure."""
        rows = {}
        for number in range(count):
            for name, run in runs.items():
                rows.setdefault(name, []).append(run())
                progress(f"round {number + 1} of {count}: {name}")
        return {name: {key: statistics.median(row[key] for row in got) for key in got[0]} for name, got in rows.items()}

    def syncs(self, seconds, pause_us, cores="0"):
        """What a bare fdatasync takes here."""
        done = subprocess.run(["taskset", "-c", cores, f"{self.bin}/syncs", self.work, str(seconds), str(pause_us)],
                              capture_output=True, text=True, check=True)
        return {key: float(value) for key, value in (pair.split("=") for pair in done.stdout.split())}


class Server:
    def __init__(self, name, process, log):
        self.name, self.process, self.log = name, process, log
        # taskset becomes the server: the pid is the server's.
        self.pid = process.pid

    def cpu_seconds(self):
        """Of the process and all that descend from it, the ended ones that were waited for included."""
        parents, times = {}, {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
            if fields:  # it has not ended meanwhile
                parents[int(pid)] = int(fields[1])
                times[int(pid)] = sum(int(field) for field in fields[11:15])
        total, todo = 0, [self.pid]
        while todo:
            pid = todo.pop()
            total += times.get(pid, 0)
            todo += [child for child, parent in parents.items() if parent == pid]
        return total / os.sysconf("SC_CLK_TCK")

    def settle(self):
        """Waits until it has written the rows that it owes: what is measured is the steady state. False: it gave up."""
        for _ in range(180):
            before = self.cpu_seconds()
            time.sleep(1)
            if self.cpu_seconds() - before < 0.03:
                return True
        print(f"warning: {self.name} has not come to rest in three minutes", file=sys.stderr)
        return False

    def state_of(self, lock):
        """The answer of an OctoStore to a look at a lock."""
        with socket.create_connection(("127.0.0.1", self.port)) as client:
            client.sendall(f"GET /locks/{lock} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
            answer = client.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        return answer

    def memory_bytes(self):
        return int(re.search(r"VmRSS:\s+(\d+)", read(f"/proc/{self.pid}/status")).group(1)) * 1024


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
        return True
    except OSError:
        return False


def progress(text):
    print(f"  {text}", file=sys.stderr, flush=True)


def machine():
    """A line about where and when."""
    cpu = re.search(r"model name\s*:\s*(.*)", read("/proc/cpuinfo"))
    return (f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores ({cpu.group(1).strip() if cpu else 'unknown'}), "
            f"Linux {os.uname().release.split('-')[0]}")


def table(head, rows):
    """A table in Markdown."""
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
