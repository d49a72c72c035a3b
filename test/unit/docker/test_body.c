/* SPDX-License-Identifier: Apache-2.0
 * The body of POST /containers/create. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "docker/body.h"

static int parse(const char *text, struct docker_body *ret, struct json_object **o, struct error **err)
{
	assert_int_equal(json_parse(text, strlen(text), "body", o, NULL), 0);
	return docker_body_parse(*o, ret, err);
}

/* The body that docker CLI 28.2 sends for `docker run --rm -i -e A=1 -l k=v alpine cat`. */
static const char from_cli[] =
    "{\"Hostname\":\"\",\"Domainname\":\"\",\"User\":\"\",\"AttachStdin\":true,\"AttachStdout\":true,\"AttachStderr\":"
    "true,"
    "\"Tty\":false,\"OpenStdin\":true,\"StdinOnce\":true,\"Env\":[\"A=1\"],\"Cmd\":[\"cat\"],\"Image\":\"alpine\","
    "\"Volumes\":{},\"WorkingDir\":\"\",\"Entrypoint\":null,\"OnBuild\":null,\"Labels\":{\"k\":\"v\"},"
    "\"HostConfig\":{\"Binds\":null,\"ContainerIDFile\":\"\",\"LogConfig\":{\"Type\":\"\",\"Config\":{}},"
    "\"NetworkMode\":\"default\",\"PortBindings\":{},\"RestartPolicy\":{\"Name\":\"no\",\"MaximumRetryCount\":0},"
    "\"AutoRemove\":true,\"VolumeDriver\":\"\",\"VolumesFrom\":null,\"ConsoleSize\":[0,0],\"CapAdd\":null,\"CapDrop\":"
    "null,"
    "\"CgroupnsMode\":\"\",\"Dns\":[],\"DnsOptions\":[],\"DnsSearch\":[],\"ExtraHosts\":null,\"GroupAdd\":null,"
    "\"IpcMode\":\"\",\"Cgroup\":\"\",\"Links\":null,\"OomScoreAdj\":0,\"PidMode\":\"\",\"Privileged\":false,"
    "\"PublishAllPorts\":false,\"ReadonlyRootfs\":false,\"SecurityOpt\":null,\"UTSMode\":\"\",\"UsernsMode\":\"\","
    "\"ShmSize\":0,\"Isolation\":\"\",\"CpuShares\":0,\"Memory\":0,\"NanoCpus\":0,\"CgroupParent\":\"\","
    "\"BlkioWeight\":0,"
    "\"BlkioWeightDevice\":[],\"BlkioDeviceReadBps\":[],\"CpuPeriod\":0,\"CpuQuota\":0,\"CpuRealtimePeriod\":0,"
    "\"CpuRealtimeRuntime\":0,\"CpusetCpus\":\"\",\"CpusetMems\":\"\",\"Devices\":[],\"DeviceCgroupRules\":null,"
    "\"DeviceRequests\":null,\"MemoryReservation\":0,\"MemorySwap\":0,\"MemorySwappiness\":-1,\"OomKillDisable\":false,"
    "\"PidsLimit\":0,\"Ulimits\":[],\"CpuCount\":0,\"CpuPercent\":0,\"IOMaximumIOps\":0,\"IOMaximumBandwidth\":0,"
    "\"MaskedPaths\":null,\"ReadonlyPaths\":null},"
    "\"NetworkingConfig\":{\"EndpointsConfig\":{\"default\":{\"IPAMConfig\":null,\"Links\":null}}}}";

static void test_as_the_cli_sends_it(void **state)
{
	AUTO_DOCKER_BODY struct docker_body b = { 0 };
	AUTO_JSON struct json_object *o = NULL;
	AUTO_ERROR struct error *err = NULL;
	assert_int_equal(parse(from_cli, &b, &o, &err), 0);
	assert_string_equal(b.image, "alpine");
	assert_null(b.user);
	assert_int_equal(b.command.count, 1);
	assert_int_equal(b.has_entrypoint, 0);
	assert_string_equal(strv_getenv(&b.env, "A"), "1");
	assert_int_equal(b.open_stdin + b.stdin_once + b.auto_remove, 3);
	assert_int_equal(b.stop_timeout_s, -1);
	assert_string_equal(b.network_mode, "default");
	assert_int_equal(json_object_object_length(b.labels), 1);
}

static void test_what_is_taken(void **state)
{
	AUTO_DOCKER_BODY struct docker_body b = { 0 };
	AUTO_JSON struct json_object *o = NULL;
	AUTO_ERROR struct error *err = NULL;
	int r =
	    parse("{\"Image\":\"a\",\"Entrypoint\":[\"\"],\"Cmd\":\"one\",\"StopSignal\":\"sigint\",\"Domainname\":\"x."
		  "org\",\"StopTimeout\":0,"
		  "\"WorkingDir\":\"/"
		  "x\",\"HostConfig\":{\"NetworkMode\":\"none\",\"Annotations\":{\"a\":\"b\"},\"CapDrop\":[\"net_raw\","
		  "\"ALL\"],"
		  "\"SecurityOpt\":[\"no-new-privileges\"],\"LogConfig\":{\"Type\":\"json-file\","
		  "\"Config\":{\"max-size\":\"1m\",\"max-file\":\"3\"}},\"CgroupnsMode\":\"private\",\"PidsLimit\":-1}"
		  "}",
		&b, &o, &err);
	assert_int_equal(r, 0);
	assert_int_equal(b.has_entrypoint, 1);
	assert_int_equal(b.entrypoint.count, 0);
	assert_string_equal(b.command.items[0], "one");
	assert_int_equal(b.stop_signal, SIGINT);
	assert_int_equal(b.stop_timeout_s, 0);
	assert_int_equal(b.rights.capabilities, 0);
	assert_string_equal(b.network_mode, "none");
	assert_string_equal(b.domainname, "x.org");
	assert_int_equal(json_object_object_length(b.annotations), 1);
	assert_int_equal(b.log_max_size, 1 << 20);
	assert_int_equal(b.log_max_files, 3);
	assert_true(b.rights.no_new_privileges);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *word; /* in the error */
	} cases[] = {
		{ "{}", EINVAL, "image" },
		{ "[]", EINVAL, "object" },
		{ "{\"Image\":7}", EINVAL, "Image" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"ConsoleSize\":[1]}}", EINVAL, "ConsoleSize" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"ConsoleSize\":[-1,80]}}", EINVAL, "ConsoleSize" },
		{ "{\"Image\":\"a\",\"Env\":[\"=x\"]}", EINVAL, "environment" },
		{ "{\"Image\":\"a\",\"Env\":[1]}", EINVAL, "Env" },
		{ "{\"Image\":\"a\",\"Hostname\":\"a/b\"}", EINVAL, "hostname" },
		{ "{\"Image\":\"a\",\"WorkingDir\":\"x\"}", EINVAL, "absolute" },
		{ "{\"Image\":\"a\",\"StopSignal\":\"NOPE\"}", EINVAL, "signal" },
		{ "{\"Image\":\"a\",\"Labels\":{\"a\":1}}", EINVAL, "label" },
		{ "{\"Image\":\"a\",\"HostConfig\":[]}", EINVAL, "HostConfig" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"VolumeDriver\":\"nfs\"}}", EOPNOTSUPP, "--volume-driver" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"Memory\":1048576}}", EINVAL, "6MB" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"Invented\":{\"a\":1}}}", EOPNOTSUPP, "HostConfig.Invented" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"Runtime\":\"kata\"}}", EOPNOTSUPP, "--runtime" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"MaskedPaths\":[]}}", EOPNOTSUPP, "systempaths" },
		{ "{\"Image\":\"a\",\"Domainname\":\"a b\"}", EINVAL, "domainname" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"Annotations\":{\"run.oci.handler\":\"wasm\"}}}", EOPNOTSUPP,
		    "--annotation" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"Annotations\":{\"a\":1}}}", EINVAL, "annotation" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"DeviceRequests\":[{\"Count\":-1}]}}", EOPNOTSUPP, "--gpus" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"StorageOpt\":{\"size\":\"1g\"}}}", EOPNOTSUPP, "--storage-opt" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"UsernsMode\":\"auto\"}}", EINVAL, "--userns" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"IpcMode\":\"host\"}}", EOPNOTSUPP, "--ipc host" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"IpcMode\":\"container:\"}}", EINVAL, "--ipc" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"PidMode\":\"host\"}}", EOPNOTSUPP, "--pid host" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"PidMode\":\"shareable\"}}", EINVAL, "--pid" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"UTSMode\":\"other\"}}", EINVAL, "--uts" },
		{ "{\"Image\":\"a\",\"Hostname\":\"x\",\"HostConfig\":{\"UTSMode\":\"host\"}}", EINVAL, "--hostname" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"SecurityOpt\":[\"seccomp=/x.json\"]}}", EOPNOTSUPP, "seccomp" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"sometimes\"}}}", EINVAL,
		    "sometimes" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"always\",\"MaximumRetryCount\":2}}}",
		    EINVAL, "on-failure" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"on-failure\",\"MaximumRetryCount\":-"
		  "2}}}",
		    EINVAL, "negative" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"AutoRemove\":true,\"RestartPolicy\":{\"Name\":\"always\"}}}",
		    EINVAL, "AutoRemove" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"LogConfig\":{\"Type\":\"syslog\"}}}", EOPNOTSUPP, "syslog" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"LogConfig\":{\"Config\":{\"tag\":\"x\"}}}}", EOPNOTSUPP, "tag" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"LogConfig\":{\"Config\":{\"max-size\":\"0\"}}}}", EINVAL,
		    "max-size" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"CapDrop\":[\"a b\"]}}", EINVAL, "capability" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"CapAdd\":[\"NOTHING\"]}}", EINVAL, "unknown capability" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"Ulimits\":[{\"Name\":\"x\",\"Soft\":1,\"Hard\":1}]}}", EINVAL,
		    "ulimit" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"Ulimits\":[{\"Name\":\"nofile\",\"Soft\":2,\"Hard\":1}]}}",
		    EINVAL, "soft" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"Sysctls\":{\"kernel.panic\":\"1\"}}}", EINVAL, "kernel.panic" },
		{ "{\"Image\":\"a\",\"HostConfig\":{\"Devices\":[{\"PathOnHost\":\"/dev/../etc\"}]}}", EINVAL, "/dev" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_DOCKER_BODY struct docker_body b = { 0 };
		AUTO_JSON struct json_object *o = NULL;
		AUTO_ERROR struct error *err = NULL;
		assert_int_equal(parse(cases[i].text, &b, &o, &err), -cases[i].code);
		assert_non_null(strstr(error_text(err, 0), cases[i].word));
	}
}

static void test_namespaces(void **state)
{
	static const struct {
		const char *host;
		struct docker_namespaces wanted;
	} cases[] = {
		{ "{}", { .ipc = DOCKER_IPC_PRIVATE } },
		{ "{\"UsernsMode\":\"\",\"IpcMode\":\"\",\"PidMode\":\"\",\"UTSMode\":\"\"}",
		    { .userns = DOCKER_USERNS_CONTAINERS } },
		{ "{\"UsernsMode\":\"keep-id\",\"IpcMode\":\"none\",\"UTSMode\":\"host\"}",
		    { .userns = DOCKER_USERNS_KEEP_ID, .ipc = DOCKER_IPC_NONE, .host_uts = 1 } },
		{ "{\"UsernsMode\":\"host\",\"IpcMode\":\"shareable\",\"PidMode\":\"container:a\"}",
		    { .userns = DOCKER_USERNS_HOST, .ipc = DOCKER_IPC_SHAREABLE, .pid_container = "a" } },
		{ "{\"IpcMode\":\"container:b\"}", { .ipc = DOCKER_IPC_CONTAINER, .ipc_container = "b" } },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_JSON struct json_object *host = NULL;
		struct docker_namespaces n;
		const struct docker_namespaces *wanted = &cases[i].wanted;
		assert_int_equal(json_parse(cases[i].host, strlen(cases[i].host), "host", &host, NULL), 0);
		assert_int_equal(docker_namespaces_parse(host, &n, NULL), 0);
		assert_true(n.userns == wanted->userns && n.ipc == wanted->ipc && n.host_uts == wanted->host_uts);
		assert_true(!n.ipc_container == !wanted->ipc_container && !n.pid_container == !wanted->pid_container);
		assert_true(!n.ipc_container || streq(n.ipc_container, wanted->ipc_container));
		assert_true(!n.pid_container || streq(n.pid_container, wanted->pid_container));
	}
}

/* Sizes are capped: a list, a word, all words. */
static void test_caps(void **state)
{
	static const struct {
		const char *key;
		size_t count, size;
	} cases[] = { { "Cmd", 5000, 1 }, { "Env", 1, 200 * 1024 }, { "Entrypoint", 20, 100 * 1024 } };
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_JSON struct json_object *o = json_object_new_object();
		AUTO_DOCKER_BODY struct docker_body b = { 0 };
		AUTO_STRV struct strv words = { 0 };
		for (size_t k = 0; k < cases[i].count; k++) {
			char *word = xmalloc(cases[i].size + 1);
			memset(word, 'x', cases[i].size);
			word[cases[i].size] = '\0';
			strv_take(&words, word);
		}
		json_add_string(o, "Image", "a");
		json_add_strv(o, cases[i].key, &words);
		assert_int_equal(docker_body_parse(o, &b, NULL), -EINVAL);
	}
}

static void test_restart_policies(void **state)
{
	static const struct {
		const char *text;
		enum docker_restart restart;
		uint64_t max;
	} cases[] = {
		{ "{}", DOCKER_RESTART_NO, 0 },
		{ "{\"Name\":\"\",\"MaximumRetryCount\":0}", DOCKER_RESTART_NO, 0 },
		{ "{\"Name\":\"always\"}", DOCKER_RESTART_ALWAYS, 0 },
		{ "{\"Name\":\"unless-stopped\"}", DOCKER_RESTART_UNLESS_STOPPED, 0 },
		{ "{\"Name\":\"on-failure\",\"MaximumRetryCount\":3}", DOCKER_RESTART_ON_FAILURE, 3 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_JSON struct json_object *o = NULL;
		struct docker_body b = { .restart = DOCKER_RESTART_ALWAYS, .restart_max = 7 };
		assert_int_equal(json_parse(cases[i].text, strlen(cases[i].text), "policy", &o, NULL), 0);
		assert_int_equal(docker_restart_parse(o, &b, NULL), 0);
		assert_int_equal(b.restart, cases[i].restart);
		assert_int_equal(b.restart_max, cases[i].max);
	}
}

static void test_health_checks(void **state)
{
	static const struct {
		const char *text, *command;
		int retries, code;
	} cases[] = {
		{ "{}", "", 3, 0 },
		{ "{\"Test\":[\"NONE\"]}", "", 3, 0 },
		{ "{\"Test\":[\"CMD-SHELL\",\"a b\"],\"Retries\":2}", "/bin/sh|-c|a b", 2, 0 },
		{ "{\"Test\":[\"CMD\",\"a\",\"b\"],\"Interval\":1000000}", "a|b", 3, 0 },
		{ "{\"Test\":[\"OTHER\",\"a\"]}", "", 0, -EINVAL },
		{ "{\"Test\":[\"CMD\"]}", "", 0, -EINVAL },
		{ "{\"Interval\":5}", "", 0, -EINVAL },
		{ "{\"Retries\":-1}", "", 0, -EINVAL },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_JSON struct json_object *o = NULL;
		struct docker_health h;
		assert_int_equal(json_parse(cases[i].text, strlen(cases[i].text), "check", &o, NULL), 0);
		assert_int_equal(docker_health_parse(o, &h, NULL), cases[i].code);
		AUTOFREE char *command = strv_join(&h.command, "|");
		assert_string_equal(command, cases[i].command);
		if (cases[i].code == 0)
			assert_int_equal(h.retries, cases[i].retries);
		strv_done(&h.command);
	}
}

static void test_signals(void **state)
{
	assert_int_equal(docker_signal("TERM"), SIGTERM);
	assert_int_equal(docker_signal("sigkill"), SIGKILL);
	assert_int_equal(docker_signal("9"), 9);
	assert_int_equal(docker_signal("SIGRTMIN+3"), SIGRTMIN + 3);
	assert_int_equal(docker_signal("RTMAX-1"), SIGRTMAX - 1);
	assert_int_equal(docker_signal("RTMIN+99"), 0);
	assert_int_equal(docker_signal("0"), 0);
	assert_int_equal(docker_signal("65"), 0);
	assert_int_equal(docker_signal("-1"), 0);
	assert_int_equal(docker_signal(""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_the_cli_sends_it),
		cmocka_unit_test(test_what_is_taken),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_health_checks),
		cmocka_unit_test(test_restart_policies),
		cmocka_unit_test(test_signals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
