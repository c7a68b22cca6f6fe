# long double sqrtl(long double): sqrtl.c has initializers that tcc does not take as constant, x86_64/sqrtl.c has constraints unknown to it.
.global sqrtl
.type sqrtl,@function
sqrtl:
	fldt 8(%rsp)
	fsqrt
	ret
