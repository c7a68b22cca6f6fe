/* TinyCC 0.9.27+git20200814.

   Its source is as of 2020-08-14, some of its faults are repaired here: each function says which. check.c fails if one is not. */
#include "tinycc.h"
#include "files.h"
#include "patch.h"
#include "process.h"

/* `extern T new __attribute__((alias("old")))` was another assembler name for references to `new`: no symbol came of it, and so musl lost its
   weak aliases. Define `new` at the place of `old`, which must be defined above. */
static void patch_aliases(void)
{
    replace("tcc.h", "    int asm_label; /* associated asm label */\n    char attr_mode;",
            "    int asm_label; /* associated asm label */\n    int alias_target; /* token of the symbol that this one is another name of */\n    char attr_mode;");
    replace("tccgen.c", "    if (ad1->attr_mode)\n      ad->attr_mode = ad1->attr_mode;\n",
            "    if (ad1->alias_target)\n      ad->alias_target = ad1->alias_target;\n"
            "    if (ad1->attr_mode)\n      ad->attr_mode = ad1->attr_mode;\n");
    replace("tccgen.c", "            ad->asm_label = /* save string as token, for later */\n                tok_alloc((char*)astr.data, astr.size-1)->tok | SYM_FIELD;\n",
            "            ad->alias_target = /* save string as token, for later */\n                tok_alloc((char*)astr.data, astr.size-1)->tok;\n");
    replace("tccgen.c", "/* 'l' is VT_LOCAL or VT_CONST to define default storage type",
            "/* define 'sym' at the place of the symbol 'target' */\n"
            "static void define_alias(Sym *sym, int target)\n"
            "{\n"
            "    Sym *s = sym_find(target);\n"
            "    ElfSym *esym = s ? elfsym(s) : NULL;\n"
            "    if (!esym || esym->st_shndx == SHN_UNDEF || esym->st_shndx == SHN_COMMON)\n"
            "        tcc_error(\"alias of '%s', which is not defined above\", get_tok_str(target, NULL));\n"
            "    put_extern_sym2(sym, esym->st_shndx, esym->st_value, esym->st_size, 1);\n"
            "}\n"
            "\n"
            "/* 'l' is VT_LOCAL or VT_CONST to define default storage type");
    replace("tccgen.c", "                        sym = external_sym(v, &type, r, &ad);\n                    } else {\n                        if (type.t & VT_STATIC)",
            "                        sym = external_sym(v, &type, r, &ad);\n"
            "                        if (ad.alias_target && l == VT_CONST)\n"
            "                            define_alias(sym, ad.alias_target);\n"
            "                    } else {\n                        if (type.t & VT_STATIC)");
    /* tcc's own builtins meant what it was before. */
    replace("tccpp.c", "ret __builtin_##name params __attribute__((alias(\\\"__bound_\\\"#name)));\\n", "ret __builtin_##name params __asm__(\\\"__bound_\\\"#name);\\n");
    replace("tccpp.c", "ret name params __attribute__((alias(\\\"__bound_\\\"#name)));\\n", "ret name params __asm__(\\\"__bound_\\\"#name);\\n");
    replace("tccpp.c", "ret __builtin_##name params __attribute__((alias(#name)));\\n", "ret __builtin_##name params __asm__(#name);\\n");
    replace("tccpp.c", "ret __builtin_##name params __attribute__((alias(\\\"\\\"#name)));\\n", "ret __builtin_##name params __asm__(#name);\\n");
}

/* Weak symbols are symbols that a library defines. */
static void patch_archiver(void)
{
    replace("tcctools.c", "                    || sym->st_info == 0x12\n", 
            "                    || sym->st_info == 0x12\n"
            "                    || sym->st_info == 0x20\n"
            "                    || sym->st_info == 0x21\n"
            "                    || sym->st_info == 0x22\n");
}

/* Configure scripts write to /dev/null; root must not remove it. */
static void patch_output(void)
{
    replace("tccelf.c", "    unlink(filename);\n", "    if (strcmp(filename, \"/dev/null\"))\n        unlink(filename);\n");
}

/* libtcc1 must not need a C library. */
static void patch_runtime(void)
{
    replace("lib/va_list.c", "extern void abort(void);\n", "");
    replace("lib/va_list.c", "        abort();\n", "        *(volatile int *)0 = 0;\n");
}

/* A variable argument that is a structure of two doubles comes in two vector registers, which are saved 16 bytes apart: its second half was
   taken from the wrong place, and only one register counted. */
static void patch_variable_double_pairs(void)
{
    replace("lib/va_list.c",
            "        if (ap->fp_offset < 128 + 48) {\n"
            "            ap->fp_offset += 16;\n"
            "            return ap->reg_save_area + ap->fp_offset - 16;\n"
            "        }\n"
            "        size = 8;\n",
            "        if (ap->fp_offset + 2 * size <= 128 + 48) {\n"
            "            long long *first = (long long *)(ap->reg_save_area + ap->fp_offset);\n"
            "            ap->fp_offset += 2 * size;\n"
            "            if (size == 16)\n"
            "                first[1] = first[2];\n"
            "            return first;\n"
            "        }\n");
}

/* The musl of this stage is static only, and so are the programs. */
static void patch_default_linkage(void)
{
    replace("libtcc.c", "    s->gnu_ext = 1;\n", "    s->static_link = 1;\n    s->gnu_ext = 1;\n");
}

/* A long double became an integer by way of double, and so was rounded: 268435455.99999999998L to 268435456. Call libtcc1 as for unsigned long. */
static void patch_long_double_to_integer(void)
{
    replace("tcctok.h", "#if defined TCC_TARGET_I386 || defined TCC_TARGET_X86_64\n     DEF(TOK_alloca",
            "#if defined TCC_TARGET_X86_64\n     DEF(TOK___fixxfdi, \"__fixxfdi\")\n#endif\n\n"
            "#if defined TCC_TARGET_I386 || defined TCC_TARGET_X86_64\n     DEF(TOK_alloca");
    replace("tccgen.c", "        PUT_R_RET(vtop, t);\n    } else {\n        gen_cvt_ftoi(t);\n",
            "        PUT_R_RET(vtop, t);\n"
            "    } else if ((vtop->type.t & VT_BTYPE) == VT_LDOUBLE) {\n"
            "        vpush_global_sym(&func_old_type, TOK___fixxfdi);\n"
            "        vrott(2);\n"
            "        gfunc_call(1);\n"
            "        vpushi(0);\n"
            "        PUT_R_RET(vtop, t);\n"
            "    } else {\n        gen_cvt_ftoi(t);\n");
}

/* (unsigned short)c of a signed char c in memory stayed sign-extended to 32 bits. */
static void patch_signed_char_to_unsigned_short(void)
{
    replace("tccgen.c", "            if (ds <= 4) {\n                gv(RC_INT);\n",
            "            if (ds <= 4 && (dbt != (VT_SHORT | VT_UNSIGNED) || sbt != VT_BYTE)) {\n                gv(RC_INT);\n");
}

/* Cases are sorted as 64-bit numbers and then searched as numbers of the switch's type: bring them to that type first, or `case -1` of an
   unsigned int is sorted first and searched last. */
static void patch_case_values(void)
{
    replace("tccgen.c", "        qsort(sw->p, sw->n, sizeof(void*), case_cmp);\n",
            "        if ((sw->sv.type.t & VT_BTYPE) != VT_LLONG)\n"
            "            for (b = 0; b < sw->n; b++) {\n"
            "                struct case_t *p = sw->p[b];\n"
            "                if ((sw->sv.type.t & (VT_BTYPE | VT_UNSIGNED)) == (VT_INT | VT_UNSIGNED)) {\n"
            "                    p->v1 = (uint32_t)p->v1;\n"
            "                    p->v2 = (uint32_t)p->v2;\n"
            "                } else {\n"
            "                    p->v1 = (int32_t)p->v1;\n"
            "                    p->v2 = (int32_t)p->v2;\n"
            "                }\n"
            "            }\n"
            "        qsort(sw->p, sw->n, sizeof(void*), case_cmp);\n");
}

void tinycc_prepare(const char *home, const char *musl)
{
    patch_aliases();
    patch_archiver();
    patch_output();
    patch_runtime();
    patch_default_linkage();
    patch_long_double_to_integer();
    patch_variable_double_pairs();
    patch_signed_char_to_unsigned_short();
    patch_case_values();
    write_file("config.h",
               LINES("#define TCC_VERSION \"0.9.27\"",
                     "#define CONFIG_TCC_STATIC 1",  /* no dlopen */
                     "#define CONFIG_TCCBOOT 1",     /* no bounds checker, no backtraces: they need libraries of their own */
                     "#define TCC_TARGET_X86_64 1",
                     "#define TCC_MUSL 1",
                     JOIN("#define CONFIG_TCCDIR \"", home, "\""),
                     JOIN("#define CONFIG_TCC_CRTPREFIX \"", musl, "/lib\""),
                     JOIN("#define CONFIG_TCC_LIBPATHS \"", musl, "/lib\""),
                     JOIN("#define CONFIG_TCC_SYSINCLUDEPATHS \"", musl, "/include:{B}/include\"")));
}

List tinycc_compile_runtime(const Compiler *compiler, const char *objects)
{
    static const char *const sources[] = { "libtcc1.c", "alloca86_64.S", "va_list.c", "dsohandle.c", NULL };
    List options = { NULL, 0, 0 }, made = { NULL, 0, 0 };
    make_folder(objects);
    ADD(&options, "-Iinclude");
    for (int i = 0; sources[i]; i++) {
        char *object = JOIN(objects, "/", slice(sources[i], find(sources[i], ".") - sources[i]), ".o");
        compile(compiler, &options, JOIN("lib/", sources[i]), object);
        add(&made, object);
    }
    finish();
    return made;
}

void tinycc_compile(const Compiler *compiler, const List *include_options, const char *object)
{
    List options = { NULL, 0, 0 };
    ADD(&options, "-I.");
    add_all(&options, include_options);
    compile(compiler, &options, "tcc.c", object);
    finish();
}
