/* SPDX-License-Identifier: Apache-2.0
 * Completion for three shells. What needs an answer of this moment (names of machines and images)
 * is asked of holm itself when it is needed; the rest is in the files. */
#include "cli/generate/generate.h"

#include "base/alloc.h"

/* ---- shared ---- */

/* Prints text inside single quotes of a shell; quote: how that shell writes one inside. */
static void put_quoted(FILE *out, const char *s, const char *quote, const char *escaped)
{
	for (; *s; s++) {
		if (*s == '\'')
			fputs(quote, out);
		else if (strchr(escaped, *s))
			fprintf(out, "\\%c", *s);
		else
			fputc(*s, out);
	}
}

/* The words that may stand behind `under` ("", "machine", "machine mount"): once each. */
static void put_words_below(FILE *out, const char *under)
{
	const struct command_spec *c;
	AUTO_STRV struct strv words = { 0 };
	AUTOFREE char *stem = xasprintf("%s ", under);
	for (const struct command_group *g = command_groups; g->name; g++) {
		if (!*under && *g->name)
			strv_add(&words, g->name);
		for (size_t i = 0; (c = command_at(g, i)); i++) {
			AUTOFREE char *full = xasprintf("%s%s%s", g->name, *g->name ? " " : "", c->name);
			const char *rest = *under ? startswith(full, stem) : *g->name ? NULL : full;
			AUTOFREE char *word = rest ? xstrndup(rest, strcspn(rest, " ")) : NULL;
			if (word && !strv_contains(&words, word))
				strv_add(&words, word);
		}
	}
	AUTOFREE char *text = strv_join(&words, " ");
	fputs(text, out);
}

static const char *const stems[] = { "", "machine", "machine mount", "container", "network", "volume", "image",
	"builder", "system" };

static void put_stems(FILE *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(stems); i++) {
		fprintf(out, "\t'%s') echo '", stems[i]);
		put_words_below(out, stems[i]);
		fputs("' ;;\n", out);
	}
}

/* ---- bash, and what zsh shares with it ---- */

static void put_options(FILE *out, const char *name, const struct command_group *g, const struct command_spec *c)
{
	fprintf(out, "\t'%s') echo '", name);
	for (const struct option_spec *s = c->options; s && s->name; s++)
		fprintf(out, "--%s ", s->name);
	fputs("--help' ;;\n", out);
}

static void put_values(FILE *out, const char *name, const struct command_group *g, const struct command_spec *c)
{
	for (const struct option_spec *s = c->options; s && s->name; s++) {
		if (s->kind == OPTION_FLAG || s->kind == OPTION_SWITCH)
			continue;
		AUTOFREE char *value = generate_value_of(s);
		fprintf(out, "\t'%s --%s'", name, s->name);
		if (s->letter)
			fprintf(out, " | '%s -%c'", name, s->letter);
		fprintf(out, ") echo '%s' ;;\n", *value ? value : "any");
	}
}

static void put_positionals(FILE *out, const char *name, const struct command_group *g, const struct command_spec *c)
{
	if (c->complete)
		fprintf(out, "\t'%s') echo '%s' ;;\n", name, c->complete);
}

static void put_function(FILE *out, const char *name,
    void (*put)(FILE *, const char *, const struct command_group *, const struct command_spec *))
{
	fprintf(out, "%s()\n{\n\tcase \"$1\" in\n", name);
	generate_each(put, out);
	fputs("\tesac\n}\n\n", out);
}

static void put_tables(FILE *out)
{
	fputs("# What may follow the words so far.\n_holm_below()\n{\n\tcase \"$1\" in\n", out);
	put_stems(out);
	fputs("\tesac\n}\n\n", out);
	put_function(out, "_holm_options", put_options);
	fputs("# What the value of an option is; nothing for an option without one.\n", out);
	put_function(out, "_holm_value", put_values);
	put_function(out, "_holm_words", put_positionals);
	fputs("# What the words before the one being written come to: $command, and what is wanted next: $wanted.\n"
	      "_holm_parse()\n"
	      "{\n"
	      "\tlocal word value=''\n"
	      "\tcommand='' wanted='' positionals=0\n"
	      "\tfor word in \"$@\"; do\n"
	      "\t\t[ \"$word\" = m ] && [ -z \"$command\" ] && word=machine\n"
	      "\t\tif [ -n \"$value\" ]; then\n"
	      "\t\t\tvalue=''\n"
	      "\t\telif [ -n \"$(_holm_below \"$command\")\" ]; then\n"
	      "\t\t\tcommand=${command:+$command }$word\n"
	      "\t\telif [ \"${word#-}\" != \"$word\" ]; then\n"
	      "\t\t\tvalue=$(_holm_value \"$command $word\")\n"
	      "\t\telse\n"
	      "\t\t\tpositionals=$((positionals + 1))\n"
	      "\t\tfi\n"
	      "\tdone\n"
	      "\tif [ -n \"$value\" ]; then\n"
	      "\t\twanted=$value\n"
	      "\telif [ -n \"$(_holm_below \"$command\")\" ]; then\n"
	      "\t\twanted=\"choices $(_holm_below \"$command\")\"\n"
	      "\telse\n"
	      "\t\twanted=$(_holm_words \"$command\")\n"
	      "\tfi\n"
	      "}\n\n",
	    out);
}

void generate_bash(FILE *out)
{
	fputs("# bash completion for holm. Generated from its option tables.\n# shellcheck shell=bash\n\n", out);
	put_tables(out);
	fputs("# The words that may stand for $current.\n"
	      "_holm_ask()\n{\n\tholm completion words \"$wanted\" -- \"$current\" 2>/dev/null\n}\n\n"
	      "_holm()\n"
	      "{\n"
	      "\tlocal command wanted positionals line current words=() option\n"
	      "\tline=${COMP_LINE:0:COMP_POINT}\n"
	      "\tread -ra words <<<\"$line\"\n"
	      "\tcurrent=''\n"
	      "\tcase \"$line\" in *[[:space:]]) ;; *) current=${words[${#words[@]}-1]}; unset "
	      "\"words[${#words[@]}-1]\" ;; esac\n"
	      "\t_holm_parse \"${words[@]:1}\"\n"
	      "\tcase \"$current\" in\n"
	      "\t--*=*) option=${current%%=*}; wanted=$(_holm_value \"$command $option\"); current=${current#*=} ;;\n"
	      "\t-*) wanted=\"choices $(_holm_options \"$command\")\" ;;\n"
	      "\tesac\n"
	      "\tCOMPREPLY=()\n"
	      "\tcase \"$wanted\" in\n"
	      "\t'choices '*) mapfile -t COMPREPLY < <(compgen -W \"${wanted#choices }\" -- \"$current\") ;;\n"
	      "\tmachine | container | volume | network | image) mapfile -t COMPREPLY < <(_holm_ask) ;;\n"
	      "\tkey) compopt -o nospace 2>/dev/null; mapfile -t COMPREPLY < <(_holm_ask) ;;\n"
	      "\t*-path)\n"
	      "\t\tcompopt -o nospace -o filenames 2>/dev/null\n"
	      "\t\tmapfile -t COMPREPLY < <(_holm_ask)\n"
	      "\t\tcase \"$current\" in *:*) ;; *) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "
	      "\"$current\") ;; esac ;;\n"
	      "\tdirectory) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- \"$current\") ;;\n"
	      "\tfile) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$current\") ;;\n"
	      "\tcommand) mapfile -t COMPREPLY < <(compgen -W \"$(_holm_below '') $(_holm_below machine)\" -- "
	      "\"$current\") ;;\n"
	      "\tesac\n"
	      "\t# bash takes : and = for ends of words: what stands before the last one is there already.\n"
	      "\tcase \"$current\" in *[:=]*)\n"
	      "\t\tlocal i head=${current%\"${current##*[:=]}\"}\n"
	      "\t\tfor i in \"${!COMPREPLY[@]}\"; do COMPREPLY[i]=${COMPREPLY[i]#\"$head\"}; done ;;\n"
	      "\tesac\n"
	      "}\n\n"
	      "complete -F _holm holm\n",
	    out);
}

/* ---- zsh ---- */

static void put_zsh_described(FILE *out, const char *name, const struct command_group *g, const struct command_spec *c)
{
	fprintf(out, "\t'%s') described=(", name);
	for (const struct option_spec *s = c->options; s && s->name; s++) {
		fprintf(out, "'--%s:", s->name);
		put_quoted(out, s->help, "'\\''", ":");
		fputs("' ", out);
	}
	fputs("'--help:show help') ;;\n", out);
}

void generate_zsh(FILE *out)
{
	fputs("#compdef holm\n# zsh completion for holm. Generated from its option tables.\n\n", out);
	put_tables(out);
	fputs("_holm_describe()\n{\n\tcase \"$1\" in\n", out);
	generate_each(put_zsh_described, out);
	fputs("\t*) described=('--help:show help') ;;\n\tesac\n}\n\n"
	      "# The words that may stand for $current.\n"
	      "_holm_ask()\n{\n\tholm completion words \"$wanted\" -- \"$current\" 2>/dev/null\n}\n\n"
	      "_holm()\n"
	      "{\n"
	      "\tlocal command wanted positionals current=$words[CURRENT]\n"
	      "\tlocal -a described\n"
	      "\t_holm_parse \"${(@)words[2,CURRENT-1]}\"\n"
	      "\tcase \"$current\" in\n"
	      "\t--*=*) wanted=$(_holm_value \"$command ${current%%=*}\"); compset -P '*=' ;;\n"
	      "\t-*) _holm_describe \"$command\"; _describe option described; return ;;\n"
	      "\tesac\n"
	      "\tcase \"$wanted\" in\n"
	      "\t'choices '*) compadd -- ${=wanted#choices } ;;\n"
	      "\tmachine|container|volume|network|image) compadd -- ${(f)\"$(_holm_ask)\"} ;;\n"
	      "\tkey) compadd -S '' -- ${(f)\"$(_holm_ask)\"} ;;\n"
	      "\t*-path) compadd -S '' -- ${(f)\"$(_holm_ask)\"}; [[ $current = *:* ]] || _files ;;\n"
	      "\tdirectory) _files -/ ;;\n"
	      "\tfile) _files ;;\n"
	      "\tcommand) compadd -- ${=$(_holm_below '')} ${=$(_holm_below machine)} ;;\n"
	      "\tesac\n"
	      "}\n\n"
	      "if [ \"$funcstack[1]\" = _holm ]; then _holm \"$@\"; else compdef _holm holm; fi\n",
	    out);
}

/* ---- fish ---- */

#define ASK(kind) "(holm completion words " kind " -- (commandline -ct) 2>/dev/null)"

static const char *fish_source(const char *kind)
{
	static const struct {
		const char *kind, *source;
	} sources[] = {
		{ "machine", ASK("machine") },
		{ "container", ASK("container") },
		{ "volume", ASK("volume") },
		{ "network", ASK("network") },
		{ "image", ASK("image") },
		{ "key", ASK("key") },
		{ "machine-path", ASK("machine-path") " (__fish_complete_path)" },
		{ "container-path", ASK("container-path") " (__fish_complete_path)" },
		{ "directory", "(__fish_complete_directories)" },
		{ "file", "(__fish_complete_path)" },
	};
	for (size_t i = 0; kind && i < ARRAY_SIZE(sources); i++)
		if (streq(sources[i].kind, kind))
			return sources[i].source;
	const char *choices = kind ? startswith(kind, "choices ") : NULL;
	return choices ? choices : "";
}

static void put_fish_command(FILE *out, const char *name, const struct command_group *g, const struct command_spec *c)
{
	/* The last word of the name is offered behind the others. */
	const char *blank = strrchr(name, ' ');
	AUTOFREE char *stem = blank ? xstrndup(name, (size_t)(blank - name)) : xstrdup("");
	fprintf(out, "complete -c holm -f -n \"__holm_at '%s'\" -a '%s' -d '", stem, blank ? blank + 1 : name);
	put_quoted(out, c->summary, "\\'", "\\");
	fputs("'\n", out);
	for (const struct option_spec *s = c->options; s && s->name; s++) {
		AUTOFREE char *value = generate_value_of(s);
		fprintf(out, "complete -c holm -f -n \"__holm_in '%s'\" -l %s", name, s->name);
		if (s->letter)
			fprintf(out, " -s %c", s->letter);
		if (s->kind == OPTION_STRING || s->kind == OPTION_LIST)
			fprintf(out, " -x -a '%s'", fish_source(value));
		fputs(" -d '", out);
		put_quoted(out, s->help, "\\'", "\\");
		fputs("'\n", out);
	}
	if (*fish_source(c->complete)) {
		fprintf(out, "complete -c holm -f -n \"__holm_in '%s'\" -a '%s'\n", name, fish_source(c->complete));
	}
}

void generate_fish(FILE *out)
{
	fputs("# fish completion for holm. Generated from its option tables.\n\n"
	      "# The words before the cursor, without options, with the long name of the machine group.\n"
	      "function __holm_words\n"
	      "\tset -l words (commandline -opc)[2..-1]\n"
	      "\tfor word in $words\n"
	      "\t\tstring match -q -- '-*' $word; and continue\n"
	      "\t\tif test \"$word\" = m\n\t\t\techo machine\n\t\telse\n\t\t\techo $word\n\t\tend\n"
	      "\tend\n"
	      "end\n\n"
	      "# Exactly these words so far: the next is the rest of the command's name.\n"
	      "function __holm_at\n\tset -l line (string join ' ' (__holm_words))\n\ttest \"$line\" = "
	      "\"$argv[1]\"\nend\n\n"
	      "# In this command.\n"
	      "function __holm_in\n\tset -l line (string join ' ' (__holm_words))\n\ttest \"$line\" = \"$argv[1]\"; or "
	      "string match -q -- \"$argv[1] *\" $line\nend\n\n"
	      "complete -c holm -f\n",
	    out);
	for (const struct command_group *g = command_groups; g->name; g++) {
		if (!*g->name)
			continue;
		fprintf(out, "complete -c holm -f -n \"__holm_at ''\" -a %s -d '", g->name);
		put_quoted(out, g->summary, "\\'", "\\");
		fputs("'\n", out);
	}
	generate_each(put_fish_command, out);
}
