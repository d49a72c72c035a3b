/* SPDX-License-Identifier: Apache-2.0
 * The commands of `holm image`. */
#include "image/options.h"

#include "base/format.h"

static const char *const progress_choices[] = { "auto", "plain", "none", NULL };
static const char *const save_choices[] = { "docker-archive", "oci-archive", "oci-dir", NULL };
static const char *const pull_choices[] = { "missing", "always", "never", NULL };
static const char *const form_choices[] = { "disk", "trees", NULL };
static const char *const prepare_choices[] = { "disk", "trees", "containers", "container-disk", "own-ids", NULL };
static const char *const list_aliases[] = { "list", NULL };
static const char *const remove_aliases[] = { "delete", "remove", NULL };

/* clang-format off */
#define OPTION_PROGRESS \
	"progress", 0, OPTION_STRING, "MODE", "bars on a terminal (auto), lines (plain), or none", \
	.default_text = "auto", .choices = progress_choices
#define OPTION_PLATFORM \
	"platform", 0, OPTION_STRING, "OS/ARCH[/VARIANT]", "for this platform", .default_text = "this machine's"
#define OPTION_ALL(text) \
	"all-platforms", 0, OPTION_FLAG, NULL, (text)
#define OPTION_TLS_VERIFY \
	"tls-verify", 0, OPTION_STRING, "BOOL", "false: accept any certificate, and plain HTTP", \
	.default_text = "true"
#define OPTION_NO_TRUST \
	"disable-content-trust", 0, OPTION_SWITCH, NULL, "has no effect: holm has no content trust"
#define OPTION_FORM \
	"form", 0, OPTION_STRING, "FORM", "disk, or the trees of its layers", \
	.default_text = "disk", .choices = form_choices
#define OPTION_TAG(text, kind) \
	"tag", 't', (kind), "NAME", (text)
/* clang-format on */

static const struct option_spec pull_options[] = {
	{ "quiet", 'q', OPTION_FLAG, NULL, "show no progress" },
	{ OPTION_ALL("all platforms, and the index with all that it names") },
	{ OPTION_NO_TRUST },
	{ OPTION_PLATFORM },
	{ OPTION_TLS_VERIFY },
	{ OPTION_PROGRESS },
	{ 0 },
};

static const struct option_spec push_options[] = {
	{ "all-tags", 'a', OPTION_FLAG, NULL, "all images of the library that have the repository NAME" },
	{ "quiet", 'q', OPTION_FLAG, NULL, "show no progress" },
	{ OPTION_NO_TRUST },
	{ OPTION_ALL("all platforms that are here, and the index of them") },
	{ "chunk-size", 0, OPTION_STRING, "SIZE", "send layers in pieces of this size", .default_text = "whole" },
	{ OPTION_PLATFORM },
	{ OPTION_TLS_VERIFY },
	{ OPTION_PROGRESS },
	{ 0 },
};

static const struct option_spec search_options[] = {
	{ "limit", 0, OPTION_STRING, "NUMBER", "at most so many, up to 100", .default_text = "25" },
	{ "filter", 'f', OPTION_LIST, "KEY=VALUE", "only those that match: stars=NUMBER, is-official=BOOL" },
	{ "no-trunc", 0, OPTION_FLAG, NULL, "long texts whole" },
	{ OPTION_TLS_VERIFY },
	FORMAT_OPTION("table"),
	{ 0 },
};

static const struct option_spec login_options[] = {
	{ "username", 'u', OPTION_STRING, "USER", "the user", .default_text = "asked for on the terminal" },
	{ "password", 'p', OPTION_STRING, "PASSWORD", "the password, which other users of the host can read here" },
	{ "password-stdin", 0, OPTION_FLAG, NULL, "read the password from standard input" },
	{ OPTION_TLS_VERIFY },
	{ 0 },
};

static const struct option_spec load_options[] = {
	{ "quiet", 'q', OPTION_FLAG, NULL, "show no progress" },
	{ "input", 'i', OPTION_STRING, "FILE", "the archive, in docker's spelling", .complete = "file" },
	{ OPTION_TAG("the name it gets, where there is one image in it", OPTION_STRING) },
	{ OPTION_PLATFORM },
	{ OPTION_PROGRESS },
	{ 0 },
};

static const struct option_spec ls_options[] = {
	FORMAT_OPTION("table"),
	{ "quiet", 'q', OPTION_FLAG, NULL, "names only" },
	{ "filter", 'f', OPTION_LIST, "KEY=VALUE",
	    "only those that match: reference=PATTERN, dangling=BOOL, label=KEY[=VALUE], label!=..., before=IMAGE, "
	    "since=IMAGE, until=TIME" },
	{ "no-trunc", 0, OPTION_FLAG, NULL, "whole digests" },
	{ "digests", 0, OPTION_FLAG, NULL, "the same: the table has digests in any case" },
	{ "all", 'a', OPTION_FLAG, NULL, "has no effect: there are no images between" },
	{ "shared", 0, OPTION_FLAG, NULL,
	    "with json, also shared_size, of the layers that other images have, and added_size, beyond the rows "
	    "before" },
	{ 0 },
};

static const struct option_spec import_options[] = {
	{ "change", 'c', OPTION_LIST, "INSTRUCTION",
	    "ENV, LABEL, USER, WORKDIR, STOPSIGNAL, CMD, ENTRYPOINT, EXPOSE, VOLUME or ONBUILD as in a Dockerfile; may "
	    "be repeated" },
	{ "message", 'm', OPTION_STRING, "TEXT", "the comment of the image's one step" },
	{ OPTION_PLATFORM },
	{ OPTION_PROGRESS },
	{ 0 },
};

static const struct option_spec history_options[] = {
	FORMAT_OPTION("table"),
	{ "quiet", 'q', OPTION_FLAG, NULL, "digests only: of a step's image, where one is here, else of its layer" },
	{ "no-trunc", 0, OPTION_FLAG, NULL, "long texts whole" },
	{ OPTION_PLATFORM },
	{ 0 },
};

static const struct option_spec rm_options[] = {
	{ "force", 'f', OPTION_FLAG, NULL,
	    "also if containers have it, or several names; a name that is not there is fine" },
	{ "no-prune", 0, OPTION_FLAG, NULL, "has no effect: there are no images between" },
	FORMAT_OPTION("lines"),
	{ 0 },
};

static const struct option_spec prune_options[] = {
	{ "all", 'a', OPTION_FLAG, NULL, "images too that no machine uses" },
	{ "dry-run", 0, OPTION_FLAG, NULL, "say what would go, and delete nothing" },
	{ "filter", 0, OPTION_LIST, "KEY=VALUE",
	    "of images, only those that match: until=TIME, label=KEY[=VALUE], label!=..." },
	{ "force", 'f', OPTION_FLAG, NULL, "has no effect: this prune does not ask" },
	FORMAT_OPTION("table"),
	{ 0 },
};

static const struct option_spec diff_options[] = {
	FORMAT_OPTION("lines"),
	{ OPTION_PLATFORM },
	{ 0 },
};

static const struct option_spec inspect_options[] = {
	FORMAT_OPTION_SHORT('f', "json|TEMPLATE", "json", "json"),
	{ OPTION_PLATFORM },
	{ 0 },
};

static const struct option_spec save_options[] = {
	{ "output", 'o', OPTION_STRING, "FILE", "the archive, or the directory", .default_text = "standard output",
	    .complete = "file" },
	{ OPTION_ALL("all platforms that are here, and the index of them") },
	{ "format", 0, OPTION_STRING, "FORMAT", "docker-archive (OCI tools read it too), oci-archive or oci-dir",
	    .default_text = "docker-archive", .choices = save_choices },
	{ OPTION_PLATFORM },
	{ OPTION_PROGRESS },
	{ 0 },
};

static const struct option_spec debootstrap_options[] = {
	{ OPTION_TAG("the image's name (debian:SUITE); a short one becomes localhost/NAME", OPTION_STRING) },
	{ "mirror", 0, OPTION_STRING, "URL", "Debian's package archive", .default_text = "the one that apt uses here" },
	{ "include", 0, OPTION_LIST, "PACKAGE[,PACKAGE...]", "more packages; may be repeated" },
	{ "no-check-valid-until", 0, OPTION_FLAG, NULL, "take a mirror whose Release file has expired" },
	{ "keyring", 0, OPTION_STRING, "FILE", "keys that sign the Release file",
	    .default_text = "those that apt has here", .complete = "file" },
	{ OPTION_PROGRESS },
	{ 0 },
};

static const char *const build_call_choices[] = { "build", "check", "check,format=json", "lint", "outline",
	"outline,format=json", "targets", "targets,format=json", NULL };
static const char *const build_progress_choices[] = { "auto", "plain", "tty", "rawjson", "quiet", NULL };

#define BUILD_LIMIT_OPTIONS                                                                                            \
	{ "memory", 'm', OPTION_STRING, "SIZE", "that a command of RUN may have" },                                    \
	    { "memory-swap", 0, OPTION_STRING, "SIZE", "memory and swap of it together; -1: any" },                    \
	    { "cpu-shares", 'c', OPTION_STRING, "NUMBER", "its weight beside other containers" },                      \
	    { "cpu-period", 0, OPTION_STRING, "NUMBER", "microseconds for which --cpu-quota counts" },                 \
	    { "cpu-quota", 0, OPTION_STRING, "NUMBER", "microseconds of processors in each period" },                  \
	    { "cpuset-cpus", 0, OPTION_STRING, "LIST", "its processors: 0-2,4" },                                      \
	    { "cpuset-mems", 0, OPTION_STRING, "LIST", "its memory nodes" },                                           \
	{                                                                                                              \
		"cgroup-parent", 0, OPTION_STRING, "PATH", "the cgroup of its container, of the machine's own"         \
	}

static const struct option_spec build_options[] = {
	{ OPTION_TAG("the image's name; a short one becomes localhost/NAME; may be repeated", OPTION_LIST) },
	{ "file", 'f', OPTION_STRING, "FILE", "the Dockerfile; - is standard input",
	    .default_text = "CONTEXT/Containerfile, or CONTEXT/Dockerfile", .complete = "file" },
	{ "target", 0, OPTION_STRING, "STAGE", "build this stage", .default_text = "the last one" },
	{ "build-arg", 0, OPTION_LIST, "NAME[=VALUE]", "the value of an ARG; without VALUE the environment's" },
	{ "label", 0, OPTION_LIST, "NAME=VALUE", "a label of the image" },
	{ "annotation", 0, OPTION_LIST, "NAME=VALUE", "an annotation of its manifest" },
	{ "build-context", 0, OPTION_LIST, "NAME=VALUE",
	    "what --from=NAME and FROM NAME mean: a directory, URL, docker-image://IMAGE or oci-layout://DIR" },
	{ "check", 0, OPTION_SWITCH, NULL, "say what is probably not meant, and build nothing" },
	{ "call", 0, OPTION_STRING, "METHOD",
	    "build; check, as --check; outline: the arguments and secrets of the target; targets: the stages",
	    .default_text = "build", .choices = build_call_choices },
	{ "output", 'o', OPTION_LIST, "DIR|type=TYPE,dest=PATH",
	    "write files in place of an image: local, tar, oci or docker; - is a tar archive on standard output",
	    .complete = "file" },
	{ "metadata-file", 0, OPTION_STRING, "FILE", "write the image's digests to this file, as JSON",
	    .complete = "file" },
	{ "push", 0, OPTION_SWITCH, NULL, "send the image to the registries that the names of --tag have" },
	{ "no-cache", 0, OPTION_SWITCH, NULL, "run each step again" },
	{ "no-cache-filter", 0, OPTION_LIST, "STAGE[,STAGE...]", "run the steps of these stages again" },
	{ "pull", 0, OPTION_SWITCH, NULL, "look for newer images of FROM" },
	{ "cache-to", 0, OPTION_LIST, "type=local,dest=DIR",
	    "write the steps' layers for other machines; type=inline: name them in the image" },
	{ "cache-from", 0, OPTION_LIST, "type=local,src=DIR",
	    "look there for steps, too; type=registry,ref=NAME: in an image" },
	{ "iidfile", 0, OPTION_STRING, "FILE", "write the image's digest to this file", .complete = "file" },
	{ "quiet", 'q', OPTION_SWITCH, NULL, "print the digest alone, and the output of a step that fails" },
	{ "progress", 0, OPTION_STRING, "MODE",
	    "tty: the steps that run; plain: lines; rawjson: BuildKit's JSON; quiet: failures alone",
	    .default_text = "auto", .choices = build_progress_choices },
	{ OPTION_PLATFORM },
	{ "network", 0, OPTION_STRING, "NETWORK", "of the commands of RUN: bridge, none or host",
	    .default_text = "bridge" },
	{ "secret", 0, OPTION_LIST, "id=NAME,src=FILE",
	    "a secret for RUN --mount=type=secret; env=VARIABLE in place of src" },
	{ "ssh", 0, OPTION_LIST, "default|ID[=SOCKET|KEY[,KEY]]",
	    "your ssh agent, another one, or one with these keys for RUN --mount=type=ssh" },
	{ "add-host", 0, OPTION_LIST, "NAME:ADDRESS", "a line of /etc/hosts for the commands of RUN" },
	{ "shm-size", 0, OPTION_STRING, "SIZE", "of /dev/shm for the commands of RUN", .default_text = "64M" },
	{ "ulimit", 0, OPTION_LIST, "NAME=SOFT[:HARD]",
	    "a resource limit for the commands of RUN, such as nofile=1024" },
	BUILD_LIMIT_OPTIONS,
	{ "pids-limit", 0, OPTION_STRING, "NUMBER", "of processes and threads of a RUN", .default_text = "16384" },
	{ "machine", 'n', OPTION_STRING, "NAME", "the machine that runs the commands of RUN",
	    .default_text = "the default machine", .complete = "machine" },
	{ "load", 0, OPTION_SWITCH, NULL, "has no effect: the library has the image" },
	{ "rm", 0, OPTION_SWITCH, NULL, "has no effect: no container stays" },
	{ "force-rm", 0, OPTION_SWITCH, NULL, "the same" },
	{ "compress", 0, OPTION_SWITCH, NULL, "has no effect: no context is sent" },
	{ "disable-content-trust", 0, OPTION_SWITCH, NULL, "has no effect: images are found by digest" },
	{ "debug", 'D', OPTION_SWITCH, NULL, "has no effect" },
	{ "allow", 0, OPTION_LIST, "RIGHT", "network.host has no effect; other rights are an error" },
	{ "builder", 0, OPTION_STRING, "NAME", "default; any other is an error" },
	{ "isolation", 0, OPTION_STRING, "WORD", "default; any other is an error" },
	{ "attest", 0, OPTION_LIST, "type=TYPE,disabled=true",
	    "an attestation that is not wanted; any other is an error" },
	{ "provenance", 0, OPTION_STRING, "BOOL", "false; an attestation is an error" },
	{ "sbom", 0, OPTION_STRING, "BOOL", "false; an attestation is an error" },
	{ "security-opt", 0, OPTION_LIST, "OPTION", "an error" },
	{ "squash", 0, OPTION_SWITCH, NULL, "an error" },
	{ 0 },
};

const struct command_spec image_commands[] = {
	{
	    .name = "build",
	    .synopsis = "CONTEXT",
	    .summary = "build an image from a Dockerfile",
	    .options = build_options,
	    .min_arguments = 1,
	    .max_arguments = 1,
	    .complete = "directory",
	    .details =
		"CONTEXT is the directory that COPY and ADD take files from, less what its .dockerignore names; - is "
		"an archive of one, or a Dockerfile alone, on standard input; a URL is that of such a file, or of a "
		"git repository: URL[#REF[:DIRECTORY]]. "
		"Steps that an earlier build made of the same files are not made again. The commands of RUN "
		"run in a container of the machine each; without RUN there is no machine needed.",
	},
	{
	    .name = "pull",
	    .synopsis = "NAME",
	    .summary = "get an image from a registry",
	    .options = pull_options,
	    .min_arguments = 1,
	    .max_arguments = 1,
	    .details = "NAME is [REGISTRY[:PORT]/]REPOSITORY[:TAG][@DIGEST]; alpine is "
		       "docker.io/library/alpine:latest. Logins are those of \"holm image login\", \"podman login\" "
		       "and \"docker login\". An "
		       "interrupted download goes on where it stopped.",
	},
	{
	    .name = "push",
	    .synopsis = "[NAME] DESTINATION",
	    .summary = "send an image to a registry",
	    .options = push_options,
	    .min_arguments = 1,
	    .max_arguments = 2,
	    .complete = "image",
	    .details =
		"Without NAME the image of that name is sent. Layers that the registry has are not sent again; those "
		"that it has in another repository are mounted from there. The digest stays as it is here. What fails "
		"is tried again, up to six times.",
	},
	{
	    .name = "search",
	    .synopsis = "[REGISTRY/]TERM",
	    .summary = "ask a registry for images",
	    .options = search_options,
	    .min_arguments = 1,
	    .max_arguments = 1,
	    .details = "Asks docker.io, or REGISTRY if that answers Docker's v1/search. Fields of a template: Name "
		       "Description StarCount IsOfficial.",
	},
	{
	    .name = "login",
	    .synopsis = "[REGISTRY[/NAMESPACE]]",
	    .summary = "log in to a registry",
	    .options = login_options,
	    .max_arguments = 1,
	    .details =
		"Tries the login at the registry and keeps it. A login that is there already is replaced where it is, "
		"docker's file included; a configured credential helper gets it; else it goes to $REGISTRY_AUTH_FILE "
		"or "
		"~/.config/containers/auth.json, which podman and skopeo read too. A file holds the password readable "
		"for you alone. Without REGISTRY it is docker.io.",
	},
	{
	    .name = "logout",
	    .synopsis = "[REGISTRY[/NAMESPACE]]",
	    .summary = "forget the login to a registry",
	    .max_arguments = 1,
	    .details = "Takes it out of all files and credential helpers that holm looks into.",
	},
	{
	    .name = "load",
	    .synopsis = "[FILE|DIRECTORY|-]",
	    .summary = "take an image from an archive or an OCI layout",
	    .options = load_options,
	    .max_arguments = 1,
	    .complete = "file",
	    .details = "Reads what \"docker save\" and \"podman save\" write, OCI archives and OCI layout directories, "
		       "compressed or not; - is standard input, as is no FILE where standard input is no terminal.",
	},
	{
	    .name = "save",
	    .synopsis = "NAME...",
	    .summary = "write images to an archive or a directory",
	    .options = save_options,
	    .min_arguments = 1,
	    .max_arguments = -1,
	    .complete = "image",
	    .details = "\"holm image load\", docker, podman and skopeo read the archive. The same images give the "
		       "same bytes. Layers stay compressed as they are, so digests stay too. An image that its "
		       "digest names is saved without a name.",
	},
	{
	    .name = "import",
	    .synopsis = "FILE|- [NAME]",
	    .summary = "make an image of a root file system's archive",
	    .options = import_options,
	    .min_arguments = 1,
	    .max_arguments = 2,
	    .complete = "file",
	    .details =
		"FILE is a tar archive of a root file system, compressed or not; - is standard input. A short NAME "
		"becomes localhost/NAME; without one the file's name counts. \"holm image load\" takes archives of "
		"images, \"holm machine import\" those of machines.",
	},
	{
	    .name = "ls",
	    .aliases = list_aliases,
	    .synopsis = "[NAME[:TAG]]",
	    .summary = "list the images, or those of a name",
	    .options = ls_options,
	    .max_arguments = 1,
	    .complete = "image",
	    .details = "NAME may be a pattern: \"ap*\", \"*:1\". A \"*\" takes no slash.",
	},
	{
	    .name = "inspect",
	    .synopsis = "NAME...",
	    .summary = "print all about images",
	    .options = inspect_options,
	    .min_arguments = 1,
	    .max_arguments = -1,
	    .complete = "image",
	},
	{
	    .name = "history",
	    .synopsis = "NAME",
	    .summary = "list the steps that made an image",
	    .options = history_options,
	    .min_arguments = 1,
	    .max_arguments = 1,
	    .complete = "image",
	    .details = "The newest step comes first, each with the layer that it made.",
	},
	{
	    .name = "diff",
	    .synopsis = "NAME OTHER",
	    .summary = "list the files in which two images differ",
	    .options = diff_options,
	    .min_arguments = 2,
	    .max_arguments = 2,
	    .complete = "image",
	    .details = "A line a path: A added, C changed, D deleted, seen from NAME to OTHER. Of a deleted directory "
		       "only the "
		       "top is listed. Contents, types, modes, owners and extended attributes count, times do not.",
	},
	{
	    .name = "rm",
	    .aliases = remove_aliases,
	    .synopsis = "NAME...",
	    .summary = "remove images; machines made from them keep working",
	    .options = rm_options,
	    .details = "Each name is taken away; the last one of an image that containers of any machine have needs "
		       "--force. An identity takes all names away: several of them, or containers that do not run, "
		       "need --force, and no image of a container that runs goes. Fields of a row: untagged, "
		       "deleted.",
	    .min_arguments = 1,
	    .max_arguments = -1,
	    .complete = "image",
	},
	{
	    .name = "prune",
	    .synopsis = "",
	    .summary = "delete what no machine uses, and say what that frees",
	    .options = prune_options,
	    .details =
		"Deletes partial downloads, layers that neither an image nor the cache of builds has, and unused disks "
		"and layer trees of images. The next machine of such an image makes them again. What machines use "
		"stays, those of stopped machines and the images of their containers included.",
	},
	{
	    .name = "tag",
	    .synopsis = "NAME NEW",
	    .summary = "give an image another name",
	    .min_arguments = 2,
	    .max_arguments = 2,
	    .complete = "image",
	},
	{
	    .name = "debootstrap",
	    .synopsis = "SUITE",
	    .summary = "make a bootable image from Debian's packages",
	    .options = debootstrap_options,
	    .min_arguments = 1,
	    .max_arguments = 1,
	    .details = "Makes a small Debian with systemd, dbus, sudo and iproute2 from Debian's package archive by "
		       "mmdebstrap(1), without root. SUITE is bookworm, trixie, ... The image is "
		       "localhost/debian:SUITE, which a pull does not replace; debian:SUITE is short for it.",
	},
	{ 0 },
};

static const struct option_spec prepare_options[] = {
	{ "form", 0, OPTION_STRING, "FORM", "disk, or the trees of its layers for machines or containers",
	    .default_text = "disk", .choices = prepare_choices },
	{ "pull", 0, OPTION_STRING, "WHEN", "missing, always or never", .default_text = "missing",
	    .choices = pull_choices },
	{ OPTION_PLATFORM },
	{ OPTION_TLS_VERIFY },
	{ OPTION_PROGRESS },
	{ 0 },
};

static const struct option_spec pack_options[] = {
	{ "config", 0, OPTION_STRING, "FILE", "JSON: config, machine, reference" },
	{ "output", 0, OPTION_STRING, "FILE", "the OCI archive" },
	{ 0 },
};

static const struct option_spec machine_diff_options[] = {
	{ "config", 0, OPTION_STRING, "FILE", "JSON: the machine" },
	FORMAT_OPTION("lines"),
	{ 0 },
};

static const struct option_spec commit_options[] = {
	{ "config", 0, OPTION_STRING, "FILE", "JSON: the machine" },
	{ "squash", 0, OPTION_FLAG, NULL, "one layer with all files" },
	{ "message", 0, OPTION_STRING, "TEXT", "the comment of the step" },
	{ "author", 0, OPTION_STRING, "TEXT", "the author" },
	{ 0 },
};

static const struct option_spec remote_options[] = {
	{ OPTION_PLATFORM },
	{ OPTION_TLS_VERIFY },
	{ OPTION_PROGRESS },
	{ 0 },
};

static const struct option_spec commit_layer_options[] = {
	{ "base", 0, OPTION_STRING, "DIGEST", "the image below" },
	{ "message", 0, OPTION_STRING, "TEXT", "the comment of the step" },
	{ "author", 0, OPTION_STRING, "TEXT", "the author" },
	{ "created-by", 0, OPTION_STRING, "TEXT", "the command of the step" },
	{ 0 },
};

static const struct option_spec unpack_options[] = {
	{ OPTION_FORM },
	{ "taken", 0, OPTION_LIST, "NAME", "a name that its machine cannot have" },
	{ OPTION_PROGRESS },
	{ 0 },
};

/* POST /build: those of `build` that the API has. */
static const struct option_spec build_stream_options[] = {
	{ "engine", 0, OPTION_STRING, "FILE", "docker.sock" },
	{ "remote", 0, OPTION_STRING, "URL", "the context, in place of standard input" },
	{ "problem", 0, OPTION_STRING, "TEXT", "read the context, and fail with this text" },
	{ OPTION_TAG("a name", OPTION_LIST) },
	{ "file", 0, OPTION_STRING, "FILE", "the Dockerfile" },
	{ "target", 0, OPTION_STRING, "STAGE", "the stage" },
	{ "build-arg", 0, OPTION_LIST, "NAME=VALUE", "of an ARG" },
	{ "label", 0, OPTION_LIST, "NAME=VALUE", "a label" },
	{ "no-cache", 0, OPTION_SWITCH, NULL, "run each step again" },
	{ "pull", 0, OPTION_SWITCH, NULL, "look for newer images" },
	{ "quiet", 0, OPTION_SWITCH, NULL, "the digest alone" },
	{ OPTION_PLATFORM },
	{ "network", 0, OPTION_STRING, "NETWORK", "of RUN" },
	{ "add-host", 0, OPTION_LIST, "NAME:ADDRESS", "for RUN" },
	{ "shm-size", 0, OPTION_STRING, "SIZE", "for RUN" },
	{ "ulimit", 0, OPTION_LIST, "NAME=SOFT[:HARD]", "for RUN" },
	BUILD_LIMIT_OPTIONS,
	{ 0 },
};

static const struct option_spec build_prune_options[] = {
	{ "engine", 0, OPTION_STRING, "FILE", "docker.sock; its cache mounts count" },
	{ "all", 'a', OPTION_FLAG, NULL, "also what images share" },
	{ "keep-storage", 0, OPTION_STRING, "SIZE", "stays" },
	{ "reserved-space", 0, OPTION_STRING, "SIZE", "stays" },
	{ "max-used-space", 0, OPTION_STRING, "SIZE", "may stay" },
	{ "min-free-space", 0, OPTION_STRING, "SIZE", "is to be free" },
	{ "filter", 0, OPTION_LIST, "KEY=VALUE", "only those that match" },
	{ 0 },
};

const struct command_spec image_inner_commands[] = {
	{ .name = "build-du", .synopsis = "", .summary = "print what the cache of builds holds, as JSON" },
	{
	    .name = "build-prune",
	    .synopsis = "",
	    .summary = "remove parts of the cache of builds, and print them as JSON",
	    .options = build_prune_options,
	},
	{
	    .name = "build-stream",
	    .synopsis = "CONTEXT",
	    .summary = "build for a client of the Docker API: JSON lines on stdout",
	    .options = build_stream_options,
	    .min_arguments = 1,
	    .max_arguments = 1,
	},
	{
	    .name = "prepare",
	    .synopsis = "NAME",
	    .summary = "make sure that an image and its disk or trees exist",
	    .options = prepare_options,
	    .min_arguments = 1,
	    .max_arguments = 1,
	},
	{
	    .name = "commit",
	    .synopsis = "NAME",
	    .summary = "make an image of two equal tar streams, on stdin and descriptor 4",
	    .options = commit_options,
	    .min_arguments = 1,
	    .max_arguments = 1,
	},
	{
	    .name = "commit-layer",
	    .synopsis = "[NAME]",
	    .summary = "make an image of another one and a layer that an engine sends on stdin",
	    .options = commit_layer_options,
	    .max_arguments = 1,
	},
	{
	    .name = "machine-diff",
	    .synopsis = "",
	    .summary = "list what differs between a tar stream and a machine's image",
	    .options = machine_diff_options,
	},
	{
	    .name = "pull-as",
	    .synopsis = "NAME",
	    .summary = "pull with the login on stdin, an AuthConfig of the Docker API",
	    .options = remote_options,
	    .min_arguments = 1,
	    .max_arguments = 1,
	},
	{
	    .name = "push-as",
	    .synopsis = "NAME",
	    .summary = "push with such a login",
	    .options = remote_options,
	    .min_arguments = 1,
	    .max_arguments = 1,
	},
	{
	    .name = "distribution",
	    .synopsis = "NAME",
	    .summary = "print what a registry has under a name, with such a login",
	    .options = remote_options,
	    .min_arguments = 1,
	    .max_arguments = 1,
	},
	{
	    .name = "try-login",
	    .synopsis = "",
	    .summary = "try such a login, and keep it nowhere",
	    .options = remote_options,
	},
	{ .name = "pack", .synopsis = "", .summary = "make an OCI archive of a tar stream", .options = pack_options },
	{
	    .name = "unpack",
	    .synopsis = "FILE",
	    .summary = "load such an archive and make its disk or trees",
	    .options = unpack_options,
	    .min_arguments = 1,
	    .max_arguments = 1,
	},
	{ 0 },
};
