"""`python -m benchmarks`: measure what the proxy costs."""

from benchmarks.proxy_overhead import main

main()
