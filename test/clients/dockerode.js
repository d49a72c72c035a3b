// SPDX-License-Identifier: Apache-2.0
// dockerode.js CHECK...: runs these checks with dockerode on DOCKER_HOST; prints a line for each.
"use strict";
const assert = require("node:assert/strict");
const { Writable } = require("node:stream");
const { execFileSync } = require("node:child_process");
const Docker = require("dockerode");
const run = require("./run.js");

const docker = new Docker(); // of DOCKER_HOST
const image = "busybox:test";

// A writable stream that keeps what it gets in .text.
function collector() {
	const out = new Writable({
		write(chunk, encoding, done) {
			out.text += chunk;
			out.emit("text");
			done();
		},
	});
	out.text = "";
	return out;
}

// said COLLECTOR TEXT: waits for it. An answer to wait, on a connection of its own, may be read
// before the last output.
function said(out, text) {
	return new Promise((resolve) => {
		const check = () => out.text.trim() === text && resolve();
		out.on("text", check);
		check();
	});
}

function ended(stream) {
	return new Promise((resolve, reject) => stream.once("end", resolve).once("close", resolve).once("error", reject));
}

function followed(stream) {
	return new Promise((resolve, reject) =>
		docker.modem.followProgress(stream, (error, output) => (error ? reject(error) : resolve(output))));
}

// withContainer OPTIONS BODY: makes it, and removes it in the end.
async function withContainer(options, body) {
	const container = await docker.createContainer({ Image: image, Cmd: ["true"], ...options });
	try {
		return await body(container);
	} finally {
		await container.remove({ force: true, v: true });
	}
}

// running: one that goes on until it is removed.
function running(options, body) {
	return withContainer({ Cmd: ["sleep", "1000"], ...options }, async (container) => {
		await container.start();
		return body(container);
	});
}

// output of a command by exec, with its status.
async function exec(container, cmd, options = {}) {
	const e = await container.exec({ Cmd: cmd, AttachStdout: true, AttachStderr: true, ...options });
	const stream = await e.start({});
	const out = collector();
	docker.modem.demuxStream(stream, out, out);
	await ended(stream);
	return { text: out.text, status: (await e.inspect()).ExitCode };
}

async function rejected(promise, status, text) {
	const error = await promise.then(() => assert.fail("no error came"), (e) => e);
	assert.equal(error.statusCode, status, error.message);
	assert.match(error.message, text);
}

const checks = {
	async host() {
		assert.equal((await docker.ping()).toString(), "OK");
		const version = await docker.version();
		assert.match(version.ApiVersion, /^1\.\d+$/);
		const info = await docker.info();
		assert.equal(info.OSType, "linux");
		assert.equal(info.ServerVersion, version.Version);
		assert.ok(info.NCPU >= 1 && info.MemTotal > 0);
	},

	async lists() {
		await withContainer({ name: "listed", Labels: { who: "dockerode" } }, async () => {
			const found = await docker.listContainers({ all: true, filters: { label: ["who=dockerode"] } });
			assert.deepEqual(found.map((c) => c.Names), [["/listed"]]);
			assert.deepEqual(await docker.listContainers({ filters: { name: ["listed"] } }), []);
		});
		assert.ok((await docker.listImages()).some((i) => i.RepoTags.includes(image)));
		assert.ok((await docker.listNetworks()).some((n) => n.Name === "bridge"));
	},

	async run() {
		const out = collector(), err = collector();
		const [result, container] = await docker.run(image, ["sh", "-c", "echo out; echo err >&2; exit 3"], [out, err], { Tty: false });
		assert.equal(result.StatusCode, 3);
		await said(out, "out");
		await said(err, "err");
		await container.remove();
	},

	async inspect() {
		await withContainer({ name: "seen", Env: ["A=1", "B"], Labels: { l: "x" }, Cmd: ["true"], WorkingDir: "/tmp",
			HostConfig: { Memory: 64 << 20, Tmpfs: { "/t": "size=1m" }, LogConfig: { Type: "json-file", Config: { "max-size": "1m" } } } },
		async (container) => {
			const seen = await container.inspect();
			assert.equal(seen.Name, "/seen");
			assert.ok(seen.Config.Env.includes("A=1"));
			assert.deepEqual([seen.Config.Labels.l, seen.Config.WorkingDir, seen.Path], ["x", "/tmp", "true"]);
			assert.deepEqual(seen.HostConfig.Tmpfs, { "/t": "size=1m" });
			assert.deepEqual(seen.HostConfig.LogConfig, { Type: "json-file", Config: { "max-size": "1m" } });
			assert.deepEqual([seen.State.Status, seen.State.ExitCode], ["created", 0]);
		});
	},

	async errors() {
		await rejected(docker.getContainer("nothing").inspect(), 404, /nothing/);
		await rejected(docker.getImage("nothing.invalid/x:1").inspect(), 404, /nothing\.invalid/);
		await rejected(docker.createContainer({ Image: "nothing:1", Cmd: ["true"] }), 404, /nothing/);
		await withContainer({ name: "taken", Cmd: ["nosuchprogram"] }, async (container) => {
			await rejected(docker.createContainer({ Image: image, Cmd: ["true"], name: "taken" }), 409, /taken/);
			await rejected(container.start(), 400, /nosuchprogram/);
			await rejected(container.kill(), 409, /not running/);
		});
	},

	// stdin by an upgraded connection; its end is the end of the container's input.
	async attach() {
		await withContainer({ Cmd: ["sh", "-c", "wc -c; echo more >&2"], OpenStdin: true, StdinOnce: true, AttachStdin: true }, async (container) => {
			const stream = await container.attach({ stream: true, hijack: true, stdin: true, stdout: true, stderr: true });
			const out = collector(), err = collector();
			docker.modem.demuxStream(stream, out, err);
			await container.start();
			stream.end("x".repeat(5000));
			await ended(stream);
			assert.deepEqual([out.text.trim(), err.text], ["5000", "more\n"]);
			assert.equal((await container.wait()).StatusCode, 0);
		});
	},

	async tty() {
		await withContainer({ Cmd: ["wc", "-c"], Tty: true, OpenStdin: true, AttachStdin: true }, async (container) => {
			const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true });
			const out = collector();
			stream.pipe(out);
			await container.start();
			await container.resize({ h: 40, w: 100 });
			stream.write("x".repeat(1000) + "\n\x04");
			await ended(stream);
			assert.equal((await container.wait()).StatusCode, 0);
			assert.match(out.text, /1001\s*$/);
		});
	},

	async exec() {
		await running({}, async (container) => {
			assert.deepEqual(await exec(container, ["sh", "-c", "echo $X; pwd; exit 5"], { Env: ["X=y"], WorkingDir: "/tmp" }), { text: "y\n/tmp\n", status: 5 });
			const e = await container.exec({ Cmd: ["cat"], AttachStdin: true, AttachStdout: true });
			const stream = await e.start({ hijack: true, stdin: true });
			const parts = [];
			stream.on("data", (d) => parts.push(d));
			stream.end("echo\nall\n");
			await ended(stream);
			const out = Buffer.concat(parts);
			assert.deepEqual([out.readUInt8(0), out.readUInt32BE(4), out.toString("utf8", 8)], [1, 9, "echo\nall\n"]);
		});
	},

	async logs() {
		await withContainer({ Cmd: ["sh", "-c", "echo one; echo two; echo three"] }, async (container) => {
			await container.start();
			const follow = await container.logs({ follow: true, stdout: true, stderr: true });
			const out = collector();
			docker.modem.demuxStream(follow, out, out);
			await ended(follow);
			assert.equal(out.text, "one\ntwo\nthree\n");
			const last = await container.logs({ stdout: true, tail: 1, timestamps: true });
			assert.match(last.toString("utf8", 8), /^\d{4}-\d\d-\d\dT\S+Z three\n$/);
		});
	},

	async archive() {
		const tar = execFileSync("tar", ["-cf", "-", "-C", __dirname, "package.json"]);
		await withContainer({}, async (container) => {
			await container.putArchive(tar, { path: "/tmp" });
			const stat = await container.infoArchive({ path: "/tmp/package.json" });
			stat.resume?.();
			const stream = await container.getArchive({ path: "/tmp/package.json" });
			const parts = [];
			stream.on("data", (d) => parts.push(d));
			await ended(stream);
			const text = execFileSync("tar", ["-xOf", "-"], { input: Buffer.concat(parts) });
			assert.equal(JSON.parse(text).name, "holm-test-clients");
			await rejected(container.getArchive({ path: "/nothing" }), 404, /nothing/);
		});
	},

	async life() {
		await running({ name: "first" }, async (container) => {
			await container.rename({ name: "second" });
			assert.equal((await container.inspect()).Name, "/second");
			await container.restart({ t: 0 });
			const top = await container.top();
			assert.ok(top.Processes.some((p) => p.join(" ").includes("sleep 1000")));
			await container.update({ RestartPolicy: { Name: "on-failure", MaximumRetryCount: 2 } });
			assert.equal((await container.inspect()).HostConfig.RestartPolicy.MaximumRetryCount, 2);
			await container.stop({ t: 0 });
			await container.start();
			await container.kill({ signal: "SIGKILL" });
			assert.equal((await container.wait()).StatusCode, 137);
		});
	},

	async stats() {
		await running({}, async (container) => {
			const once = await container.stats({ stream: false, "one-shot": true });
			assert.ok(once.precpu_stats && once.cpu_stats.cpu_usage.total_usage >= 0);
			const stream = await container.stats({ stream: true });
			const first = await new Promise((resolve) => stream.once("data", resolve));
			stream.destroy();
			assert.equal(JSON.parse(first).id, container.id);
		});
	},

	async events() {
		const stream = await docker.getEvents({ filters: { type: ["container"], label: ["watched=yes"] } });
		const out = collector();
		stream.pipe(out);
		const gone = new Promise((resolve) => stream.on("data", () => out.text.includes('"destroy"') && resolve()));
		await withContainer({ Cmd: ["true"], Labels: { watched: "yes" } }, async (container) => {
			await container.start();
			await container.wait();
		});
		await gone;
		stream.destroy();
		const actions = out.text.trim().split("\n").map((line) => JSON.parse(line).Action);
		assert.deepEqual(actions, ["create", "start", "die", "destroy"]);
	},

	async images() {
		const found = docker.getImage(image);
		await found.tag({ repo: "dockerode", tag: "1" });
		const tagged = docker.getImage("dockerode:1");
		assert.equal((await tagged.inspect()).Id, (await found.inspect()).Id);
		assert.ok((await tagged.history()).length >= 1);
		const saved = [];
		const stream = await tagged.get();
		stream.on("data", (d) => saved.push(d));
		await ended(stream);
		assert.deepEqual((await tagged.remove()).map((r) => r.Untagged), ["dockerode:1"]);
		const loaded = await followed(await docker.loadImage(Buffer.concat(saved)));
		assert.match(loaded.map((l) => l.stream).join(""), /Loaded image: dockerode:1/);
		await tagged.remove();
	},

	async build() {
		const files = execFileSync("sh", ["-c", 'cd "$(mktemp -d)" && printf "FROM busybox:test\\nARG X\\nRUN echo \\$X >/x\\nCMD cat /x\\n" >Dockerfile && tar -cf - Dockerfile && rm -r "$PWD"']);
		const output = await followed(await docker.buildImage(files, { t: "built:1", buildargs: { X: "word" } }));
		assert.match(output.map((l) => l.stream || "").join(""), /Successfully tagged built:1/);
		const out = collector();
		const [, container] = await docker.run("built:1", [], out, {});
		await said(out, "word");
		const commit = await container.commit({ repo: "committed", tag: "1" });
		assert.equal((await docker.getImage("committed:1").inspect()).Id, commit.Id);
		assert.ok(Array.isArray(await container.changes()));
		const whole = await container.export();
		whole.destroy();
		await container.remove();
		await docker.getImage("committed:1").remove();
		await docker.getImage("built:1").remove();
	},

	async networks() {
		const network = await docker.createNetwork({ Name: "n1", Labels: { a: "b" } });
		await docker.createVolume({ Name: "v1" });
		await running({ name: "server", HostConfig: { NetworkMode: "n1", Binds: ["v1:/data"] } }, async () => {
			await running({ HostConfig: { Binds: ["v1:/data:ro"] } }, async (client) => {
				await network.connect({ Container: client.id, EndpointConfig: { Aliases: ["here"] } });
				assert.match((await exec(client, ["ping", "-c", "1", "-w", "10", "server"])).text, / 0% packet loss/);
				await network.disconnect({ Container: client.id });
			});
			assert.equal(Object.values((await network.inspect()).Containers)[0].Name, "server");
		});
		await network.remove();
		const { Volumes } = await docker.listVolumes({ filters: { name: ["v1"] } });
		assert.deepEqual(Volumes.map((v) => v.Name), ["v1"]);
		await docker.getVolume("v1").remove();
	},
};

run("dockerode.js", checks, 60);
