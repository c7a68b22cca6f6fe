/* The configuration of a tcc that only has to be a seed: it is told every path it needs. */
#define TCC_VERSION "0.9.27"
#define CONFIG_TCC_STATIC 1
