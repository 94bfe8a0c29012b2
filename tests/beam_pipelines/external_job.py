"""The unbounded graph over files, as a program: on Prism, with its steps in workers that somebody else started.

    python external_job.py EVENTS DEFINITIONS STORE OUTBOX PRISM WORKERS

The live graph's own transforms, from Decode on; only the source is another one, and its order is any.
"""

import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from transforms.campaigns.load import read_texts
from transforms.channels.destinations import Channels
from transforms.channels.transforms import DeliverUnbounded
from transforms.events.sources import Files
from transforms.events.transforms import Decode, ReadEvents
from transforms.metrics.transforms import WriteMetrics
from transforms.users.inputs.transforms import CountDeadLetters, KeyInputs
from transforms.users.transforms import AdvanceUnbounded
from transforms.users.way_back.transforms import PublishControl, ToControl


def main(arguments: list[str]) -> None:
    events, definitions, store, outbox, prism, workers = arguments
    texts = read_texts(definitions)
    flags = [f"--prism_location={prism}", "--environment_type=EXTERNAL", f"--environment_config={workers}"]
    options = PipelineOptions(["--runner=PrismRunner", *flags], save_main_session=False)
    with beam.Pipeline(options=options) as pipeline:
        decoded = pipeline | "Read" >> ReadEvents(Files(events)) | "Decode" >> Decode()
        keyed = decoded.events | "KeyInputs" >> KeyInputs()
        anonymous = keyed.anonymous | "Anonymous" >> AdvanceUnbounded(texts, store)
        inputs = (keyed.users, anonymous.forwarded) | "UserInputs" >> beam.Flatten()
        advanced = inputs | "Advance" >> AdvanceUnbounded(texts, store)
        sends = (anonymous.sends, advanced.sends) | "Sends" >> beam.Flatten()
        delivered = sends | "Deliver" >> DeliverUnbounded(texts, Channels(outbox), store)
        _ = advanced.forwarded | "ToControl" >> ToControl() | "PublishControl" >> PublishControl(store)
        letters = decoded.dead_letters | "CountDeadLetters" >> CountDeadLetters()
        counted = (keyed.tallies, anonymous.tallies, advanced.tallies, delivered.tallies, letters)
        _ = counted | "Tallies" >> beam.Flatten() | "Metrics" >> WriteMetrics(store)


if __name__ == "__main__":
    main(sys.argv[1:])
