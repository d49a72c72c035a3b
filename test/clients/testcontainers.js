// SPDX-License-Identifier: Apache-2.0
// testcontainers.js CHECK...: runs these checks with testcontainers on DOCKER_HOST; prints a line
// for each.
"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { execFileSync } = require("node:child_process");
const { GenericContainer, Network, Wait, getContainerRuntimeClient } = require("testcontainers");
const run = require("./run.js");

const image = "busybox:test";
// The server listens before it goes to the background, so "ready" is true.
const web = ["sh", "-c", "mkdir -p /www && hostname >/www/index.html && httpd -p 80 -h /www && echo ready && exec sleep 1000"];

// using CONTAINER BODY: stops it in the end.
async function using(container, body) {
	try {
		return await body(container);
	} finally {
		await container.stop({ timeout: 0 });
	}
}

function sleeper() {
	return new GenericContainer(image).withCommand(["sleep", "1000"]);
}

async function page(container) {
	const answer = await fetch(`http://${container.getHost()}:${container.getMappedPort(80)}/`);
	return (await answer.text()).trim();
}

function server() {
	return new GenericContainer(image).withCommand(web).withExposedPorts(80);
}

const checks = {
	async port() {
		await using(await server().start(), async (c) => {
			assert.equal(await page(c), c.getId().slice(0, 12));
			assert.ok(c.getFirstMappedPort() > 0);
		});
	},

	async fixedport() {
		const port = Number(process.env.FREE_PORT);
		const c = new GenericContainer(image).withCommand(web).withExposedPorts({ container: 80, host: port });
		await using(await c.start(), async (started) => assert.equal(started.getMappedPort(80), port));
	},

	async log() {
		await using(await server().withWaitStrategy(Wait.forLogMessage("ready")).start(), async (c) => assert.ok(await page(c)));
	},

	async http() {
		await using(await server().withWaitStrategy(Wait.forHttp("/", 80).forStatusCode(200)).start(), async (c) => assert.ok(await page(c)));
	},

	async health() {
		const c = sleeper().withHealthCheck({ test: ["CMD-SHELL", "test -e /tmp"], interval: 1000, timeout: 30000, retries: 3, startPeriod: 0 });
		await using(await c.withWaitStrategy(Wait.forHealthCheck()).start(), async () => {});
	},

	async oneshot() {
		const c = await new GenericContainer(image).withCommand(["sh", "-c", "echo done"]).withWaitStrategy(Wait.forOneShotStartup()).start();
		await using(c, async () => {});
	},

	async shell() {
		await using(await server().withWaitStrategy(Wait.forSuccessfulCommand("test -e /www/index.html")).start(), async () => {});
	},

	async exec() {
		await using(await sleeper().withEnvironment({ A: "b" }).withWorkingDir("/tmp").start(), async (c) => {
			const all = await c.exec(["sh", "-c", "echo $A $PWD; echo err >&2; exit 4"]);
			assert.deepEqual([all.stdout, all.stderr, all.exitCode], ["b /tmp\n", "err\n", 4]);
			const other = await c.exec(["sh", "-c", "echo $X; id -u; pwd"], { env: { X: "y" }, user: "2", workingDir: "/etc" });
			assert.equal(other.output, "y\n2\n/etc\n");
		});
	},

	async logs() {
		await using(await new GenericContainer(image).withCommand(["sh", "-c", "echo one; echo two; sleep 1000"])
			.withWaitStrategy(Wait.forLogMessage("two")).start(), async (c) => {
			const stream = await c.logs();
			let text = "";
			await new Promise((resolve) => stream.on("data", (d) => (text += d).includes("two") && resolve()));
			stream.destroy();
			assert.equal(text, "one\ntwo\n");
		});
	},

	// Files go into the container before it starts, and come and go while it runs.
	async files() {
		const dir = fs.mkdtempSync(path.join(os.tmpdir(), "files-"));
		fs.writeFileSync(path.join(dir, "one"), "1");
		const c = await sleeper().withCopyContentToContainer([{ content: "given", target: "/given", mode: 0o640 }])
			.withCopyFilesToContainer([{ source: path.join(dir, "one"), target: "/tmp/one" }])
			.withCopyDirectoriesToContainer([{ source: dir, target: "/tree" }]).start();
		await using(c, async () => {
			assert.equal((await c.exec(["sh", "-c", "stat -c %a /given; cat /given /tmp/one /tree/one"])).output, "640\ngiven11");
			await c.copyContentToContainer([{ content: "later", target: "/later" }]);
			assert.equal((await c.exec(["cat", "/later"])).output, "later");
			const tar = [];
			const stream = await c.copyArchiveFromContainer("/later");
			stream.on("data", (d) => tar.push(d));
			await new Promise((resolve) => stream.on("end", resolve));
			assert.equal(execFileSync("tar", ["-xOf", "-"], { input: Buffer.concat(tar) }).toString(), "later");
		});
		fs.rmSync(dir, { recursive: true });
	},

	async mounts() {
		const dir = fs.mkdtempSync(path.join(os.homedir(), "bind-"));
		fs.writeFileSync(path.join(dir, "f"), "from the home");
		const c = sleeper().withBindMounts([{ source: dir, target: "/bound", mode: "ro" }]).withTmpFs({ "/t": "rw,size=1m" });
		await using(await c.start(), async (started) => {
			assert.equal((await started.exec(["cat", "/bound/f"])).output, "from the home");
			assert.match((await started.exec(["df", "/t"])).output, /tmpfs +1024 /);
		});
		fs.rmSync(dir, { recursive: true });
	},

	async network() {
		const network = await new Network().start();
		await using(await server().withNetwork(network).withNetworkAliases("web").start(), async (c) => {
			assert.ok(c.getIpAddress(network.getName()));
			await using(await sleeper().withNetwork(network).start(), async (client) => {
				const got = await client.exec(["wget", "-qO-", "http://web/"]);
				assert.equal(got.output.trim(), c.getId().slice(0, 12));
			});
		});
		await network.stop();
	},

	async restart() {
		await using(await server().start(), async (c) => {
			await c.exec(["touch", "/kept"]);
			await c.restart({ timeout: 0 });
			assert.equal((await c.exec(["ls", "/kept"])).output, "/kept\n");
			assert.equal(await page(c), c.getId().slice(0, 12));
		});
	},

	async stop() {
		const c = await sleeper().start();
		const id = c.getId();
		await c.stop({ timeout: 0, remove: false });
		const { container } = await getContainerRuntimeClient();
		assert.equal((await container.inspect(container.getById(id))).State.Status, "exited");
		await container.remove(container.getById(id), { removeVolumes: true });
		await assert.rejects(container.inspect(container.getById(id)), /404/);
	},

	async build() {
		const dir = fs.mkdtempSync(path.join(os.tmpdir(), "build-"));
		fs.writeFileSync(path.join(dir, "Dockerfile"), 'FROM busybox:test\nARG WORD\nRUN echo "$WORD" >/word\nCOPY *.txt /\nCMD ["sleep", "1000"]\n');
		fs.writeFileSync(path.join(dir, "a.txt"), "copied");
		const built = await GenericContainer.fromDockerfile(dir).withBuildArgs({ WORD: "said" }).build("tc-built:1", { deleteOnExit: false });
		await using(await built.start(), async (c) => assert.equal((await c.exec(["cat", "/word", "/a.txt"])).output, "said\ncopied"));
		fs.rmSync(dir, { recursive: true });
	},

	async commit() {
		await using(await sleeper().start(), async (c) => {
			await c.exec(["touch", "/made"]);
			await c.commit({ repo: "tc-committed", tag: "1", deleteOnExit: false });
		});
		await using(await new GenericContainer("tc-committed:1").withCommand(["sleep", "1000"]).start(), async (c) =>
			assert.equal((await c.exec(["ls", "/made"])).exitCode, 0));
	},

	async reuse() {
		const make = () => sleeper().withLabels({ reuse: "me" }).withReuse().start();
		const first = await make();
		await using(first, async () => assert.equal((await make()).getId(), first.getId()));
	},

	async user() {
		const c = sleeper().withUser("2:2").withHostname("host-name").withExtraHosts([{ host: "extra", ipAddress: "10.1.2.3" }]).withPrivilegedMode()
			.withSharedMemorySize(4 << 20).withUlimits({ nofile: { hard: 100, soft: 50 } });
		await using(await c.start(), async (started) => {
			const got = await started.exec(["sh", "-c", "id -u; hostname; grep extra /etc/hosts; ulimit -n; df /dev/shm | tail -n 1"]);
			assert.match(got.output, /^2\nhost-name\n10\.1\.2\.3\s+extra\n50\n.* 4096 /);
		});
	},

	// The reaper has to remove it.
	async leave() {
		await sleeper().start();
	},

	async fails() {
		await assert.rejects(new GenericContainer(image).withCommand(["nosuchprogram"]).start(), /nosuchprogram/);
		await assert.rejects(server().withCommand(["sleep", "1000"]).withStartupTimeout(1500).start(), /not bound|timeout|Timed out/i);
	},
};

run("testcontainers.js", checks, 90);
