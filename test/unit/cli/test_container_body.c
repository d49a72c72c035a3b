/* SPDX-License-Identifier: Apache-2.0
 * From the options of `run` to the body of a create request. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/container/body.h"
#include "cli/container/mounts.h"
#include "cli/container/values.h"
#include "docker/keys.h"

static int make(const char *line, struct json_object **ret, struct error **err)
{
	AUTO_STRV struct strv words = { 0 };
	CLEANUP(options_freep) struct options *o = NULL;
	struct body_streams streams;
	strv_split(&words, line, " ");
	int r = options_parse(&command_container_run, (int)words.count, strv_argv(&words), &o, err);
	return r < 0 ? r : body_make(o, options_switch(o, "detach", 0), ret, &streams, err);
}

/* The member that a path of keys with "." names, as JSON; owned. */
static char *member(struct json_object *o, const char *path)
{
	AUTO_STRV struct strv keys = { 0 };
	strv_split(&keys, path, ".");
	for (size_t i = 0; o && i < keys.count; i++)
		if (!json_object_object_get_ex(o, keys.items[i], &o))
			o = NULL;
	return o ? json_to_string(o, 0) : xstrdup("absent");
}

static void each_option_has_its_member(void **state)
{
	static const struct {
		const char *options, *path, *value;
	} rows[] = {
		{ "", "Image", "\"image\"" },
		{ "", "Cmd", "[\"a\",\"-b\"]" },
		{ "", "Env", "absent" },
		{ "", "HostConfig.Memory", "absent" },
		{ "", "AttachStdin", "false" },
		{ "", "AttachStdout", "true" },
		{ "-i", "StdinOnce", "true" },
		{ "-di", "StdinOnce", "false" },
		{ "-di", "OpenStdin", "true" },
		{ "-d", "AttachStdout", "false" },
		{ "-a stderr", "AttachStdout", "false" },
		{ "-t", "Tty", "true" },
		{ "--tty=false", "Tty", "false" },
		{ "--rm", "HostConfig.AutoRemove", "true" },
		{ "-h web", "Hostname", "\"web\"" },
		{ "-u 1:2", "User", "\"1:2\"" },
		{ "-w /x", "WorkingDir", "\"/x\"" },
		{ "--entrypoint=", "Entrypoint", "[\"\"]" },
		{ "-e A=1 -e B=x=y -e A=2", "Env", "[\"A=2\",\"B=x=y\"]" },
		{ "-e HOLM_NOT_SET_ANYWHERE", "Env", "[\"HOLM_NOT_SET_ANYWHERE\"]" }, /* takes the image's away */
		{ "-l a=b -l c", "Labels", "{\"a\":\"b\",\"c\":\"\"}" },
		{ "-m 64m", "HostConfig.Memory", "67108864" },
		{ "--memory-swap -1", "HostConfig.MemorySwap", "-1" },
		{ "--cpus 1.5", "HostConfig.NanoCpus", "1500000000" },
		{ "--cpus .25", "HostConfig.NanoCpus", "250000000" },
		{ "--pids-limit -1", "HostConfig.PidsLimit", "-1" },
		{ "--stop-timeout 3 --stop-signal INT", "StopTimeout", "3" },
		{ "--ulimit nofile=10:20", "HostConfig.Ulimits", "[{\"Name\":\"nofile\",\"Soft\":10,\"Hard\":20}]" },
		{ "--ulimit core=-1", "HostConfig.Ulimits", "[{\"Name\":\"core\",\"Soft\":-1,\"Hard\":-1}]" },
		{ "--device /dev/fuse", "HostConfig.Devices",
		    "[{\"PathOnHost\":\"/dev/fuse\",\"PathInContainer\":\"/dev/"
		    "fuse\",\"CgroupPermissions\":\"rwm\"}]" },
		{ "--device /dev/a:/dev/b:r", "HostConfig.Devices",
		    "[{\"PathOnHost\":\"/dev/a\",\"PathInContainer\":\"/dev/b\",\"CgroupPermissions\":\"r\"}]" },
		{ "--restart on-failure:3", "HostConfig.RestartPolicy",
		    "{\"Name\":\"on-failure\",\"MaximumRetryCount\":3}" },
		{ "--log-driver none", "HostConfig.LogConfig.Type", "\"none\"" },
		{ "--log-opt max-size=1m", "HostConfig.LogConfig.Config", "{\"max-size\":\"1m\"}" },
		{ "--annotation a=b --annotation c", "HostConfig.Annotations", "{\"a\":\"b\",\"c\":\"\"}" },
		{ "--device-read-bps /dev/a:1mb", "HostConfig.BlkioDeviceReadBps",
		    "[{\"Path\":\"/dev/a\",\"Rate\":1048576}]" },
		{ "--blkio-weight-device /dev/a:5", "HostConfig.BlkioWeightDevice",
		    "[{\"Path\":\"/dev/a\",\"Weight\":5}]" },
		{ "-c 512 --gpus all", "HostConfig.CpuShares", "512" },
		{ "--sysctl net.a=1", "HostConfig.Sysctls", "{\"net.a\":\"1\"}" },
		{ "-p 127.0.0.1:8080:80", "HostConfig.PortBindings",
		    "{\"80/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"8080\"}]}" },
		{ "-p 8080:80 --expose 53/udp", "ExposedPorts", "{\"53/udp\":{},\"80/tcp\":{}}" },
		{ "-P", "HostConfig.PublishAllPorts", "true" },
		{ "-v /h:/x:ro -v name:/y", "HostConfig.Binds", "[\"/h:/x:ro\",\"name:/y\"]" },
		{ "-v /x", "Volumes", "{\"/x\":{}}" },
		{ "--tmpfs /x --tmpfs /y:size=1m", "HostConfig.Tmpfs", "{\"/x\":\"\",\"/y\":\"size=1m\"}" },
		{ "--net host", "HostConfig.NetworkMode", "\"host\"" },
		{ "--network a --network b", "NetworkingConfig.EndpointsConfig", "{\"a\":{},\"b\":{}}" },
		{ "--network a --network-alias x", "NetworkingConfig.EndpointsConfig",
		    "{\"a\":{\"Aliases\":[\"x\"]}}" },
		{ "--no-healthcheck", "Healthcheck", "{\"Test\":[\"NONE\"]}" },
		{ "--health-cmd true --health-interval 1m --health-retries 2", "Healthcheck",
		    "{\"Retries\":2,\"Interval\":60000000000,\"Test\":[\"CMD-SHELL\",\"true\"]}" },
		{ "--health-timeout 1.5s --health-start-period 2s", "Healthcheck",
		    "{\"Timeout\":1500000000,\"StartPeriod\":2000000000}" },
		{ "--add-host a:1.2.3.4", "HostConfig.ExtraHosts", "[\"a:1.2.3.4\"]" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_JSON struct json_object *body = NULL;
		AUTOFREE char *line = xasprintf("%s image a -b", rows[i].options);
		assert_int_equal(make(line, &body, NULL), 0);
		AUTOFREE char *value = member(body, rows[i].path);
		if (!streq(value, rows[i].value))
			fail_msg("%s: %s is %s instead of %s", rows[i].options, rows[i].path, value, rows[i].value);
	}
}

static void a_value_that_cannot_be_read_is_named(void **state)
{
	static const char *const lines[] = { "--cpus 1.x", "--cpus .", "--cpus 1.0000000001", "-m 12q", "-m -2",
		"--health-interval x", "--health-retries x", "--no-healthcheck --health-cmd x", "--ulimit nofile",
		"--ulimit nofile=2:1", "--ulimit =1", "--device-read-iops /dev/a:1m", "--device-write-bps dev:1",
		"--blkio-weight-device /dev/a", "--device fuse", "--device /dev/a:/dev/b:rx", "--restart always:1",
		"--restart on-failure:x", "--restart always --rm", "--sysctl =1", "-l =x", "-e =x",
		"--env-file /nothing/there", "-v x", "-v /a:b", "-v /a:/b:ro:z", "-v :/b", "-v /a:/b:", "--tmpfs x",
		"--mount source=/x", "-p 80:90:100:110", "-p x", "--expose 0", "-a all", "-d -a stdout", "--rm=perhaps",
		"--pull perhaps", "--no-such-option", "--stop-timeout soon" };
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		AUTO_JSON struct json_object *body = NULL;
		AUTO_ERROR struct error *err = NULL;
		AUTOFREE char *line = xasprintf("%s image", lines[i]);
		if (make(line, &body, &err) >= 0)
			fail_msg("%s was taken", lines[i]);
		assert_non_null(err);
	}
}

static void mounts_have_dockers_spellings(void **state)
{
	static const struct {
		const char *text, *json;
	} rows[] = {
		{ "type=bind,source=/a,target=/b,readonly",
		    "{\"Type\":\"bind\",\"Source\":\"/a\",\"Target\":\"/b\",\"ReadOnly\":true}" },
		{ "type=bind,src=/a,dst=/b,ro=false,bind-propagation=rslave",
		    "{\"Type\":\"bind\",\"Source\":\"/a\",\"Target\":\"/b\",\"ReadOnly\":false,"
		    "\"BindOptions\":{\"Propagation\":\"rslave\"}}" },
		{ "src=data,target=/b,volume-nocopy,volume-opt=o=size=1,volume-label=x=y",
		    "{\"Source\":\"data\",\"Target\":\"/"
		    "b\",\"VolumeOptions\":{\"NoCopy\":true,\"Labels\":{\"x\":\"y\"},"
		    "\"DriverConfig\":{\"Options\":{\"o\":\"size=1\"}}},\"Type\":\"volume\"}" },
		{ "type=tmpfs,target=/b,tmpfs-size=1m,tmpfs-mode=1777",
		    "{\"Type\":\"tmpfs\",\"Target\":\"/b\",\"TmpfsOptions\":{\"SizeBytes\":1048576,\"Mode\":1023}}" },
		{ "type=bind,\"source=/a,\"\"b\",target=/b",
		    "{\"Type\":\"bind\",\"Source\":\"/a,\\\"b\",\"Target\":\"/b\"}" },
	};
	static const char *const wrong[] = { "", ",", "target", "target=", "target=b", "type=bind", "target=/b,no=1",
		"target=/b,ro=perhaps", "target=/b,\"x", "target=/b,\"x\"y", "target=/b,x\"y", "target=/b,tmpfs-mode=9",
		"target=/b,tmpfs-size=x", "target=/b,volume-label==x" };
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_JSON struct json_object *mount = NULL;
		assert_int_equal(mounts_parse(rows[i].text, &mount, NULL), 0);
		AUTOFREE char *text = json_object_get_string(mount) ? json_to_string(mount, 0) : NULL;
		assert_string_equal(text, rows[i].json);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		AUTO_JSON struct json_object *mount = NULL;
		AUTO_ERROR struct error *err = NULL;
		if (mounts_parse(wrong[i], &mount, &err) >= 0)
			fail_msg("\"%s\" was taken", wrong[i]);
		assert_non_null(err);
	}
}

static void keys_that_detach(void **state)
{
	static const struct {
		const char *text;
		size_t count;
		unsigned char keys[DOCKER_KEYS_MAX];
	} rows[] = {
		{ "ctrl-p,ctrl-q", 2, { 16, 17 } },
		{ "a", 1, { 'a' } },
		{ "ctrl-@,ctrl-[,ctrl-_,Z", 4, { 0, 27, 31, 'Z' } },
		{ "", 0, { 0 } },
	};
	static const char *const wrong[] = { "ctrl", "ctrl-", "ctrl-A", "ctrl-pq", "ab",
		"a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a" };
	unsigned char keys[DOCKER_KEYS_MAX];
	size_t count = 0;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(docker_keys_parse(rows[i].text, keys, &count, NULL), 0);
		assert_int_equal(count, rows[i].count);
		assert_memory_equal(keys, rows[i].keys, count);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(docker_keys_parse(wrong[i], keys, &count, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_option_has_its_member),
		cmocka_unit_test(a_value_that_cannot_be_read_is_named),
		cmocka_unit_test(mounts_have_dockers_spellings),
		cmocka_unit_test(keys_that_detach),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
