#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# docker-py: members of answers that nobody gave, framing, detach keys, statuses.
load ../lib/holm
load ../lib/containers

setup_file()
{
	requires python3
	python3 -c 'import docker' || skip "there is no python3-docker"
	containers_begin
}

teardown_file()
{
	holm_end
}

# python: runs the program on stdin, with a client c and some words.
python()
{
	{
		cat <<'EOF'
import docker, io, os, socket, tarfile
from docker.utils.socket import next_frame_header, read_exactly
c = docker.APIClient(os.environ["DOCKER_HOST"], timeout=60)
IMAGE = "busybox:test"

def create(command, **more):
    host = c.create_host_config(**more.pop("host", {}))
    return c.create_container(IMAGE, command, host_config=host, **more)["Id"]

def run(command, **more):
    id = create(command, **more)
    c.start(id)
    return id

def ends(id):
    return c.wait(id)["StatusCode"]

def remove(*ids):
    for id in ids:
        c.remove_container(id, force=True, v=True)

def status(method, path, **more):
    return c.request(method, c._url(path), timeout=60, **more).status_code

def archive(name, data):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return file.getvalue()
EOF
		cat
	} | command timeout 100 python3 -
}

@test "docker-py: inspect has the members that nobody gave, and those of older clients" {
	python <<'EOF'
id = run(["sleep", "60"], environment={"Foo": None, "Other": "one", "Blank": ""}, mac_address="02:42:ac:11:00:0a", runtime="runc",
         host={"device_cgroup_rules": ["c 7:128 rwm"], "tmpfs": {"/t": "size=3M"}})
all = c.inspect_container(id)
host, config, net = all["HostConfig"], all["Config"], all["NetworkSettings"]
assert {"Foo", "Other=one", "Blank="} <= set(config["Env"]), config["Env"]
assert host["LogConfig"] == {"Type": "json-file", "Config": {}}, host["LogConfig"]
assert host["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}
assert (host["ShmSize"], host["IpcMode"], host["CgroupnsMode"], host["Memory"]) == (67108864, "private", "private", 0)
assert host["DeviceCgroupRules"] == ["c 7:128 rwm"] and host["Tmpfs"] == {"/t": "size=3M"}
assert net["MacAddress"] == "02:42:ac:11:00:0a" and net["IPAddress"] == net["Networks"]["bridge"]["IPAddress"] != ""
assert host["Runtime"] == "runc"
assert all["GraphDriver"]["Name"] == "overlay2" and config["WorkingDir"] == "" and all["ExecIDs"] is None
sleeping = c.exec_create(id, "sleep 60")["Id"]
c.exec_start(sleeping, detach=True)
assert c.inspect_container(id)["ExecIDs"] == [sleeping]
assert c.exec_inspect(sleeping)["ProcessConfig"]["arguments"] == ["60"]
c.update_container(id, restart_policy={"Name": "on-failure"})
assert c.inspect_container(id)["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 0}
info = c.info()
assert not [k for k in ("Debug", "ID", "SystemTime", "RegistryConfig", "Images") if k not in info]
assert "GoVersion" in c.version()
remove(id)
EOF
}

@test "docker-py: an exec has frames as its start says; keys detach from attach and exec" {
	python <<'EOF'
id = run("cat", stdin_open=True, tty=True)
sock = c.exec_start(c.exec_create(id, ["printf", "yay"], tty=True), socket=True)
stream, size = next_frame_header(sock)
assert (stream, size) == (1, 3) and read_exactly(sock, size) == b"yay"
assert c.exec_start(c.exec_create(id, ["echo", "raw"], tty=True), tty=True) == b"raw\r\n"

def detaches(sock, keys):
    raw = getattr(sock, "_sock", sock)
    raw.sendall(b"text\n")
    raw.settimeout(60)
    seen = b""
    while seen.count(b"text") < 2: # the terminal's echo and cat's
        seen += raw.recv(4096)
    raw.sendall(keys)
    while raw.recv(4096):
        pass

detaches(c.attach_socket(id, {"stdin": 1, "stdout": 1, "stream": 1}), b"\x10\x11")
detaches(c.attach_socket(id, {"stdin": 1, "stdout": 1, "stream": 1, "detachKeys": "ctrl-x"}), b"\x18")
for keys, sent in ((None, b"\x10\x11"), ("ctrl-a,b", b"\x01b")):
    exec = c.exec_create(id, "cat", stdin=True, tty=True, detach_keys=keys)
    detaches(c.exec_start(exec, tty=True, socket=True), sent)
    assert c.exec_inspect(exec)["Running"]
assert c.inspect_container(id)["State"]["Running"]
remove(id)
EOF
}

@test "docker-py: output that is there at once comes behind the head of its answer, never with it" {
	python <<'EOF'
def upgrade(path, body=b""):
    """Asks, and gives the socket: nothing of the answer is read."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(os.environ["DOCKER_HOST"][len("unix://"):])
    sock.sendall(b"POST %s HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                 b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(body), body))
    return sock

def answer(sock):
    """The head in one read, however large; then all the rest."""
    head, rest = sock.recv(65536), b""
    assert head.startswith(b"HTTP/1.1 101 ") and head.endswith(b"\r\n\r\n") and head.count(b"\r\n\r\n") == 1, head
    while piece := sock.recv(65536):
        rest += piece
    sock.close()
    return rest

id = run(["sh", "-c", "echo said; sleep 1000"])
exec = c.exec_create(id, ["sh", "-c", "echo out; echo err >&2; cat"], stdin=True)["Id"]
sock = upgrade("/exec/%s/start" % exec, b'{"Tty":true}')
sock.sendall(b"typed\n") # stdin does not wait for the head's reader
sock.shutdown(socket.SHUT_WR)
for event in c.events(since=1, decode=True, filters={"container": id}):
    if event["Action"] == "exec_die":
        break
assert sorted(answer(sock).split()) == [b"err", b"out", b"typed"]
big = c.exec_create(id, ["head", "-c", "1000000", "/dev/zero"])["Id"]
assert len(answer(upgrade("/exec/%s/start" % big, b'{"Tty":true}'))) == 1000000
assert answer(upgrade("/containers/%s/attach?logs=1&stdout=1" % id))[8:] == b"said\n"
remove(id)
id = run(["echo", "hello"])
ends(id)
for i in range(10):
    assert c.attach(id, stream=False, logs=True) == b"hello\n"
remove(id)
EOF
}

@test "docker-py: wait sees an end that a policy follows; archives of a stopped container reach its volumes" {
	python <<'EOF'
id = run("false", host={"restart_policy": {"Name": "always"}})
assert ends(id) == 1
remove(id)
id = run("sh -c 'echo -n data >/vol/file'", volumes=["/vol"])
ends(id)
chunks, stat = c.get_archive(id, "/vol/file")
tar = tarfile.open(fileobj=io.BytesIO(b"".join(chunks)))
assert tar.extractfile("file").read() == b"data" and stat["size"] == 4
remove(id)
id = create("cat /vol/new", volumes=["/vol"])
c.put_archive(id, "/vol", archive("new", b"before the start"))
c.start(id)
assert ends(id) == 0 and c.logs(id) == b"before the start", c.logs(id)
c.put_archive(id, "/vol", archive("new", b"again"))
c.start(id)
ends(id)
assert c.logs(id).endswith(b"again")
remove(id)
EOF
}

@test "docker-py: the stream of a build, decoded line by line" {
	python <<'EOF'
import io
lines = list(c.build(fileobj=io.BytesIO(b"FROM busybox:test\nRUN echo said\n"), tag="py-built:1", rm=True, decode=True))
text = "".join(line.get("stream", "") for line in lines)
assert "said\n" in text and "Successfully tagged py-built:1" in text, lines
assert c.inspect_image("py-built:1")["Config"]["OnBuild"] is None
lines = list(c.build(fileobj=io.BytesIO(b"FROM busybox:test\nRUN echo bad >&2; exit 7\n"), decode=True))
assert {"stream": "\x1b[91mbad\n\x1b[0m"} in lines, lines
assert lines[-1]["errorDetail"] == {"code": 7, "message": "The command '/bin/sh -c echo bad >&2; exit 7' returned a non-zero code: 7"}
c.remove_image("py-built:1")
EOF
}

@test "docker-py: links to what is not there yet, and statuses of errors" {
	python <<'EOF'
network = c.create_network("links")["Id"]
config = c.create_networking_config({"links": c.create_endpoint_config(links=[("later", "alias")])})
id = run("top", host={"network_mode": "links"}, networking_config=config)
assert c.inspect_container(id)["NetworkSettings"]["Networks"]["links"]["Links"] == ["later:alias"]
other = run("top", name="later", host={"network_mode": "links"})
lookup = c.exec_create(id, ["nslookup", "alias"])
c.exec_start(lookup)
assert c.exec_inspect(lookup)["ExitCode"] == 0
remove(id, other)
c.remove_network(network)
database = run("top", name="database")
id = run("top", name="linking", host={"links": [("database", "db"), ("database", "other")]})
def hosts():
    return c.exec_start(c.exec_create(id, ["cat", "/etc/hosts"])).decode()
assert "other" in hosts(), hosts()
assert status("DELETE", "/containers/linking/other") == 404 and status("DELETE", "/containers/linking/db2?link=1") == 404
c.remove_container("linking/other", link=True)
assert "other" not in hosts() and c.inspect_container(id)["HostConfig"]["Links"] == ["database:db"]
assert c.inspect_container(id)["State"]["Running"]
remove(id, database)

id = create("nosuchprogram")
assert status("POST", "/containers/%s/start" % id) == 400
assert c.inspect_container(id)["State"]["ExitCode"] == 127
assert status("PUT", "/containers/%s/archive?path=/tmp" % id, data=archive("x", b"x" * 5000)[:2000]) == 400
remove(id)
id = create("true", user="nosuchuser")
assert status("POST", "/containers/%s/start" % id) == 400
remove(id)
json = {"Content-Type": "application/json"}
for method, path, code, more in (
        ("POST", "/containers/create", 400, {"data": '{"Image":"bu', "headers": json}),
        ("POST", "/containers/create", 400, {"json": {"Image": IMAGE, "HostConfig": {"DeviceCgroupRules": ["x"]}}}),
        ("POST", "/containers/create", 404, {"json": {"Image": "nosuch"}}),
        ("POST", "/containers/nosuch/start", 404, {}),
        ("GET", "/containers/json?filters=nonsense", 400, {}),
        ("GET", "/exec/nosuch/json", 404, {}),
        ("GET", "/libpod/info", 404, {})):
    assert status(method, path, **more) == code, (path, status(method, path, **more))
try:
    create("true", host={"log_config": docker.types.LogConfig(type="nosuch")})
    raise AssertionError("a log driver that there is not")
except docker.errors.APIError as e:
    assert e.explanation == "logger: no log driver named 'nosuch' is registered", e.explanation
EOF
}

@test "100-continue: a client that waits for it gets it, and then its answer" {
	head -c 2000000 /dev/zero | tr '\0' ' ' >"$TMPDIR/big"
	printf '{"Image":"nosuch"}' >>"$TMPDIR/big"
	contains "$(api POST /v1.51/containers/create -v --expect100-timeout 50 -H 'Expect: 100-continue' -H 'Content-Type: application/json' \
		--data-binary "@$TMPDIR/big" 2>&1)" 'HTTP/1.1 100 Continue'
	rm "$TMPDIR/big"
}
