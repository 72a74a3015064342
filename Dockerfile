# One image for all roles: `notifier api` (the default), `worker`, `scheduler`, `migrate`.
ARG PYTHON=python:3.13-slim

# The libraries, exact and checked by hash. No source is here yet: this is rebuilt only when the list changes.
FROM ${PYTHON} AS libraries
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN ["python", "-m", "venv", "--without-pip", "/opt/notifier"]
COPY requirements/service.txt /build/requirements/
RUN ["python", "-m", "pip", "--python", "/opt/notifier/bin/python", "install", \
     "--require-hashes", "--only-binary=:all:", "-r", "/build/requirements/service.txt"]

# The project, built as a wheel and installed into a folder of its own.
FROM libraries AS project
COPY pyproject.toml README.md LICENSE /build/
COPY alembic /build/alembic
COPY src /build/src
RUN ["python", "-m", "pip", "--python", "/opt/notifier/bin/python", "install", \
     "--no-deps", "--no-build-isolation", "--root=/installed", "/build"]

# The libraries without what only building needs; `pip check` fails if anything else needed it.
FROM libraries AS runtime
RUN python -m pip --python /opt/notifier/bin/python uninstall --yes \
      hatchling editables pathspec pluggy tomlkit trove-classifiers \
 && python -m pip --python /opt/notifier/bin/python check

FROM ${PYTHON}
RUN groupadd --gid 10001 notifier \
 && useradd --uid 10001 --gid notifier --no-create-home --home-dir /nonexistent \
      --shell /usr/sbin/nologin --no-log-init notifier
COPY --from=runtime /opt/notifier /opt/notifier
COPY --from=project /installed/opt/notifier /opt/notifier

ENV PATH=/opt/notifier/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NOTIFIER_HOST=0.0.0.0 \
    NOTIFIER_PORT=8000
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# For the API; whoever runs another role turns it off, as docker-compose.yml does.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['NOTIFIER_PORT']), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["notifier"]
CMD ["api"]

# Last, so that a new version or commit rebuilds nothing.
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="notifier" \
      org.opencontainers.image.description="The recurring notification service that people run themselves and trust." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
