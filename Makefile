# make demo [MOVIE=path]   set up what it needs and narrate a movie: one that it makes, or yours
# make test                set up what it needs and run every test
# make check               lint and types
# make soak                30 minutes of live streams while cameras, brokers and sound servers die and come back
# make train DATA=folder   train the nano bundle again (see avstream/models/nano/README.md for what is in the folder)

PYTHON ?= python3
BIN := .venv/bin
# what the tests use beside Python: ffmpeg as an independent reader and sender, a broker, a sound server, a display with
# somebody who presses keys, an RTSP camera, and a browser
APT := ffmpeg mosquitto mosquitto-clients openssl \
	pulseaudio pulseaudio-utils libasound2-plugins libportaudio2 \
	xvfb openbox xdotool x11-utils libgl1 libglib2.0-0 libsm6 libice6 libxext6 libx11-6 \
	python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
	gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav \
	chromium chromium-driver

.PHONY: demo test check soak setup system train clean

setup: .venv/ready

# torch first and by its exact version: an open range may bring another build with gigabytes of CUDA
.venv/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "avstream needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,train]'
	touch $@

# in CI a missing system part is installed, since there its tests fail without it; elsewhere they skip
system:
	@if [ -n "$$CI" ]; then apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(APT) >/dev/null; fi

demo: setup
	$(BIN)/python -m pipelines.make_demo $(if $(MOVIE),"$(MOVIE)")

test: setup system
	$(BIN)/python -m pytest -n 3 --dist worksteal

soak: setup system
	$(BIN)/python -m tests.soak --minutes 30 --fault-every 60

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

train: setup
	$(BIN)/python -m pipelines.train_nano --resume --data "$(DATA)"

clean:
	rm -rf .venv demo-out build dist
