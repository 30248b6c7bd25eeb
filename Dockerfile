# One image for every process of the engine; docker-compose.yml says which one a container is.

FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/execution
COPY requirements.lock requirements.in ./
RUN /opt/execution/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY shared shared
COPY services services
COPY cli cli
RUN /opt/execution/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .
# What builds and tests it has no place beside what runs: the last part of requirements.in, and pip itself.
RUN sed -n '/^# Building/,$p' requirements.in | grep -v '^#' | sed 's/[[<>=].*//' \
    | xargs /opt/execution/bin/pip uninstall --yes --quiet pip

FROM python:3.11-slim
RUN python -m pip uninstall --yes --quiet pip setuptools wheel 2>/dev/null || true
RUN groupadd --gid 10001 execution \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/execution --shell /usr/sbin/nologin execution \
    && install -d -o execution -g execution -m 0750 /var/lib/execution /var/lib/execution/data \
    && for of in all redis state market_data signals executor exchange conductor alerts dashboard; do \
         install -d -o execution -g execution -m 0755 /keys/$of; done
COPY --from=build /opt/execution /opt/execution
ENV PATH=/opt/execution/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    EV2_HOME=/var/lib/execution
WORKDIR /var/lib/execution
USER 10001:10001
CMD ["execution", "--help"]
