"""The live job whose messages are acknowledged on account, as a program on Prism, however short the deadline is.

python accounted_job.py PRISM FLAG...
"""

import sys

import apache_beam as beam

from beam_pipelines.options import parse
from beam_pipelines.realtime import build, launch_options


def main(prism: str, flags: list[str]) -> None:
    beams = [f"--prism_location={prism}", "--runner=PrismRunner", "--environment_type=LOOPBACK"]
    config, _, beam_flags = parse([*flags, "--read=accounted", *beams])
    pipeline = beam.Pipeline(options=launch_options([*beam_flags, "--job_server_timeout=315360000"]))
    build(pipeline, config)
    pipeline.run().wait_until_finish()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
