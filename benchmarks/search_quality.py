r"""How good are the architectures that an algorithm finds, and after how many trained networks?

Searches a table that has the training results of every architecture of a space, so that a search takes seconds and can
be repeated with many seeds. Every algorithm goes through the same engine, learner and journal as in `nas run`; see
`tabular_benchmark/simulation.py` for what is in between. The `arch` column of the table holds cells of NAS-Bench-201
(|op~0|+|op~0|op~1|+...) or strings of digits, one decision a digit.

    python benchmarks/search_quality.py --table nasbench201.csv.gz --objective c10_val_12ep --report c10_test_12ep \
        --algorithms random REINFORCE tuned=REINFORCE:learningRate=0.02,batchSize=4 --seeds 50 --plot regret.png

64 workers on the clock, free-running against eight replicas that wait for their slowest child:

    python benchmarks/search_quality.py --table nasbench201.csv.gz --objective c10_val_12ep --report c10_test_12ep \
        --algorithms REINFORCE waiting=REINFORCE:replicas=8 --parallel 64 --seconds nas-bench-201 --times 1800 3600

What was interrupted goes on where it stopped: each search that has ended is kept in --cache.
"""

from tabular_benchmark.command import main

if __name__ == "__main__":
    main()
