# The front door. "make" alone prints this help; programs/workflow/ and the Snakefile do the work.

.DEFAULT_GOAL := help
.PHONY: help book html publish sweep report test quick lint data calibrate confirm-rates scaling real-brains matched-brains aligned false-alarms codec vocoder bottleneck bench lock clean environment

# What is asked for; empty means: as the edition says.
EDITION ?= demo
STIMULUS ?=
STUDY ?= studyforrest
CODEC ?=
CODEC_DECODER ?=
BANDWIDTHS ?=
JOBS ?=
PROFILE ?=
DATA ?=
CORPUS ?=
ARMS ?=
KIND ?=
MINUTES ?=
ONLY ?=
BOOK_URL ?=
OUT ?= build/report.md
PYTHON ?=
# By way of the environment, so that spaces and quotes in a path arrive as they are.
export EDITION STIMULUS STUDY CODEC CODEC_DECODER BANDWIDTHS JOBS PROFILE DATA CORPUS RECORDINGS ARMS KIND MINUTES ONLY BOOK_URL OUT

# The oldest Python that will do is 3.11; "python3" is not always it.
PYTHON3 := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$$p"; break; }; done)
RUN := $(if $(PYTHON),"$(PYTHON)",.venv/bin/python)
PROGRAM = exec $(RUN) -m programs
ASKED = --edition "$$EDITION" --stimulus "$$STIMULUS" --codec "$$CODEC" --bandwidths "$$BANDWIDTHS" --decoder "$$CODEC_DECODER" \
	--jobs "$$JOBS" --profile "$$PROFILE" --with-parent

help:
	@echo 'make book      install, execute what is out of date, render to _build/html/index.html'
	@echo 'make html      render the published book; nothing is executed'
	@echo 'make sweep     run every bandwidth of the codec and print one table'
	@echo 'make report    write build/report.md from the results of an edition, and print how to post it'
	@echo 'make test      install, check style and types, execute the smoke edition, run the tests'
	@echo 'make quick     make lint and the tests that are not slow: an answer within two minutes; nothing is executed'
	@echo 'make lint      check style, the order of the rooms, and types, in the chapters too'
	@echo 'make publish   make book for the demo edition, then rewrite the tracked notebooks, clips and results'
	@echo 'make data      fetch an open data set and check every file: STUDY=studyforrest (187 MB); DATA=DIR says where to'
	@echo 'make real-brains  rewrite results/real-brains.csv from it: what real brains give'
	@echo 'make false-alarms  rewrite one stage of results/false-alarms.csv: STAGE=development or confirmation'
	@echo 'make matched-brains  rewrite results/matched-brains.csv: real and simulated regions side by side'
	@echo 'make aligned   rewrite results/aligned.csv: what a shared response buys over averaging'
	@echo 'make calibrate rewrite results/calibration.csv: false alarms and recovery of the decoding, over 8640 simulated studies'
	@echo 'make confirm-rates  simulate again, by the rule of config/analyses/calibration.yml, what make calibrate says NO to'
	@echo 'make scaling   rewrite results/scaling.csv: what subjects and minutes of sound buy, over simulated studies'
	@echo 'make codec     train the demo checkpoint on synthesised sound; DATA=DIR adds recordings'
	@echo 'make vocoder   train the two networks of Vocos: the second decoder for the demo codec, and the mel vocoder;'
	@echo '               KIND=codes or mel for one of them, DATA=DIR adds recordings, CORPUS=DIR takes a corpus that is there'
	@echo 'make bottleneck train the arms of the sound side on hours of sound and measure them: rewrites results/ladder*.csv; a run'
	@echo '               that was stopped goes on; DATA=DIR adds recordings, CORPUS=DIR takes a corpus that is there, ARMS="mel codes"'
	@echo '               for some of them; RECORDINGS=DIR measures on recordings too, not on the play alone. Phonemes with a voice stand'
	@echo '               beside them once `python -m programs bottleneck-speak` has said them'
	@echo 'make bench     time codec, masking, training and ridge, rewrite results/bench.csv; MINUTES=2 for a part of the play,'
	@echo '               ONLY=codec, masking, training, ridge or book for one part (the others keep their figures); book takes over'
	@echo '               where the time of the last make book EDITION=demo from nothing (after make clean) went'
	@echo 'make lock      write requirements.lock and bootstrap.lock anew from pyproject.toml, and the hashes of recogniser.lock'
	@echo 'make clean     remove what has been made: build/, _build/ and caches'
	@echo
	@echo 'EDITION=demo            an edition of config/ (smoke, demo, full, sherlock), or the path of an edition file'
	@echo 'STIMULUS=FILE           a recording in place of the edition'"'"'s: WAV, FLAC, MP3, Ogg, MP4 …'
	@echo 'CODEC=demo              demo, released (EnCodec by Meta, downloaded once), or the path of a checkpoint'
	@echo 'CODEC_DECODER=vocos     what makes sound of its codes: own, or vocos, a second decoder for the same codes'
	@echo 'BANDWIDTHS="1.5 3 6"    in kbps; default: as the edition says'
	@echo 'JOBS=2                  notebooks executed at a time; default: one per core, four at most'
	@echo 'PROFILE=slurm           a Snakemake profile, to run on a cluster'
	@echo 'BOOK_URL=https://…      where the rendered book is published, for the links of make report; OUT=FILE'
	@echo 'PYTHON=/path/to/python  use that environment, install nothing'

environment:
ifeq ($(PYTHON),)
	@test -n "$(PYTHON3)" || { echo "error: Python 3.11 or newer is needed and was not found: install it, or name one with PYTHON=" >&2; exit 1; }
	@"$(PYTHON3)" programs/workflow/bootstrap.py
else
	@test -x "$(PYTHON)" || command -v "$(PYTHON)" >/dev/null || { echo "error: PYTHON=$(PYTHON) is not a program: give the path of a Python" >&2; exit 1; }
endif

book sweep publish: environment
	@$(PROGRAM) $@ $(ASKED)

html: environment
	@$(PROGRAM) html

report: environment
	@$(RUN) -m fmri_audio.cli report --edition "$${EDITION:-demo}" --out "$${OUT:-build/report.md}"

# import-linter has no way to be quiet.
lint: environment
	@$(RUN) -m programs cells
	@$(RUN) -m ruff check . build/cells
	@$(RUN) -m ruff format --check .
	@said=$$($(RUN) -c "from importlinter.cli import lint_imports_command as run; run()" --no-cache) || { echo "$$said"; exit 1; }
	@$(RUN) -m mypy
	@$(RUN) -m mypy build/cells

quick: lint
	@$(RUN) -m pytest -n 2 --dist loadfile -m "not slow"

# The smoke edition is executed into folders of the tests' own, once; an unchanged one is not executed again.
test: lint
	@$(PROGRAM) book --edition smoke --jobs "$$JOBS" --build build/tests --html build/tests/html --with-parent
	@FMRI_AUDIO_BOOK="$(CURDIR)/build/tests/html" FMRI_AUDIO_BUILD="$(CURDIR)/build/tests/smoke" $(RUN) -m pytest -n 2 --dist loadfile

data: environment
	@$(PROGRAM) data "$$STUDY" $(if $(DATA),--out "$$DATA")

real-brains: environment
	@$(PROGRAM) real-brains "$${DATA:-data/studyforrest}"

false-alarms: environment
	@$(PROGRAM) false-alarms "$${DATA:-data/studyforrest}" --stage "$${STAGE:-development}"

matched-brains: environment
	@$(PROGRAM) matched-brains "$${DATA:-data/studyforrest}" $(if $(JOBS),--jobs "$$JOBS")

aligned: environment
	@$(PROGRAM) aligned "$${DATA:-data/studyforrest}" $(if $(JOBS),--jobs "$$JOBS")

calibrate: environment
	@$(PROGRAM) calibrate --repetitions 1000 $(if $(JOBS),--jobs "$$JOBS")

confirm-rates: environment
	@$(PROGRAM) confirm-rates $(if $(JOBS),--jobs "$$JOBS")

scaling: environment
	@$(PROGRAM) scaling $(if $(JOBS),--jobs "$$JOBS")

codec: environment
	@$(PROGRAM) codec $(if $(DATA),--data "$$DATA") --out checkpoints/encodec-24khz-demo.safetensors

vocoder: environment
	@for kind in $${KIND:-codes mel}; do \
		$(RUN) -m programs vocoder "$$kind" $(if $(DATA),--data "$$DATA") $(if $(CORPUS),--corpus "$$CORPUS") || exit 1; done

bottleneck: environment
	@$(RUN) -m programs bottleneck $$ARMS $(if $(DATA),--data "$$DATA") $(if $(CORPUS),--corpus "$$CORPUS") --codec "$${CODEC:-demo}"
	@$(RUN) -m programs bottleneck --beside $$ARMS $(if $(DATA),--data "$$DATA") $(if $(CORPUS),--corpus "$$CORPUS") --codec "$${CODEC:-demo}"
	@$(PROGRAM) bottleneck-account $(if $(CORPUS),--corpus "$$CORPUS") --codec "$${CODEC:-demo}"
	@$(PROGRAM) bottleneck-bits
	@$(PROGRAM) bottleneck-measure $(if $(CORPUS),--corpus "$$CORPUS") $(if $(RECORDINGS),--data "$$RECORDINGS") $(if $(JOBS),--jobs "$$JOBS") --codec "$${CODEC:-demo}"

bench: environment
	@exec $(RUN) -W ignore::FutureWarning -m programs bench --out results/bench.csv $(if $(MINUTES),--minutes "$$MINUTES") $(if $(ONLY),--only "$$ONLY") --edition "$${EDITION:-demo}"

lock: environment
	@test -x .bootstrap/bin/uv || { echo "error: .bootstrap/bin/uv does not exist: run make lock without PYTHON, which installs it" >&2; exit 1; }
	@.bootstrap/bin/uv pip compile pyproject.toml --extra book --extra workflow --extra recognition --extra matrices --extra test --universal \
		--generate-hashes --no-header --no-annotate --python-version 3.11 --output-file requirements.lock --quiet
	@echo "uv==$$(.bootstrap/bin/uv --version | cut -d' ' -f2)" | .bootstrap/bin/uv pip compile - --universal \
		--generate-hashes --no-header --no-annotate --python-version 3.11 --output-file bootstrap.lock --quiet
	@pin=$$(grep -o '^[^ ]*==[^ ]*' recogniser.lock) && echo "$$pin" | .bootstrap/bin/uv pip compile - --universal --no-deps \
		--generate-hashes --no-header --no-annotate --python-version 3.11 --output-file recogniser.lock --quiet

clean:
	rm -rf build _build .snakemake .pytest_cache .mypy_cache .ruff_cache
