"""Whether brokers let us in, and if not, why: the clients only say that they could not connect."""

from __future__ import annotations

import asyncio
import ssl

from agents.config import KafkaSecurity
from pipeline.errors import ConfigError

#: Longest wait for one broker, ms.
_WAIT_MS = 8_000


def check_kafka(bootstrap: str, security: KafkaSecurity) -> None:
    """Connect once to the first broker that is there, as the clients will.

    A broker that is not there is no finding: what needs it says so.

    Raises:
        ConfigError: a certificate file cannot be read, the broker's certificate is not trusted, the broker does not
            speak the protocol, or it refuses the user.
    """
    context = tls_context(security)
    asyncio.run(_first_there(bootstrap, security, context))


def tls_context(security: KafkaSecurity) -> ssl.SSLContext | None:
    """Return what certificates are checked by, None where no TLS is spoken.

    Raises:
        ConfigError: a certificate file cannot be read.
    """
    if not security.protocol.endswith("SSL"):
        return None
    try:
        context = ssl.create_default_context(cafile=security.ca_file)
    except (OSError, ssl.SSLError) as e:
        raise ConfigError(f"kafka_ca_file {security.ca_file}: cannot be read as PEM certificates ({e})") from None
    if security.cert_file is not None:
        try:
            context.load_cert_chain(security.cert_file, security.key_file)
        except (OSError, ssl.SSLError) as e:
            raise ConfigError(
                f"kafka_cert_file {security.cert_file}: cannot be read with its key as PEM files ({e})"
            ) from None
    return context


async def _first_there(bootstrap: str, security: KafkaSecurity, context: ssl.SSLContext | None) -> None:
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        host = host.strip("[]")
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), _WAIT_MS / 1000)
        except (OSError, ValueError, TimeoutError):
            continue
        writer.close()
        await _enter(host, int(port), security, context)
        return


async def _enter(host: str, port: int, security: KafkaSecurity, context: ssl.SSLContext | None) -> None:
    from aiokafka import errors as kafka  # noqa: PLC0415 - only where brokers are not our own
    from aiokafka.conn import create_conn  # noqa: PLC0415 - likewise
    from aiokafka.protocol.metadata import MetadataRequest  # noqa: PLC0415 - likewise

    where = f"Kafka at {host}:{port}"
    sasl = security.protocol.startswith("SASL")
    connection = None
    try:
        connection = await create_conn(
            host, port, client_id="csf-check", request_timeout_ms=_WAIT_MS, ssl_context=context,
            security_protocol=security.protocol, sasl_mechanism=security.mechanism if sasl else None,
            sasl_plain_username=security.username, sasl_plain_password=security.password,
        )  # fmt: skip
        await connection.send(MetadataRequest([]))  # a broker that wants a password answers nothing else without
    except ssl.SSLCertVerificationError as e:
        vouches = security.ca_file or "this system's certificates"
        raise ConfigError(
            f"{where} shows a certificate that is not trusted by {vouches} ({e.verify_message}); "
            "set kafka_ca_file to the authority that signed it, and bootstrap to the name it was made for"
        ) from None
    except (kafka.SaslAuthenticationFailed, kafka.AuthenticationFailedError) as e:
        raise ConfigError(
            f"{where} refuses the user '{security.username}' by {security.mechanism} ({_words(e)}); "
            "check kafka_username, kafka_mechanism and CSF_KAFKA_PASSWORD"
        ) from None
    except kafka.UnsupportedSaslMechanismError:
        raise ConfigError(f"{where} does not offer kafka_mechanism {security.mechanism}") from None
    except (kafka.KafkaError, OSError, TimeoutError, ValueError) as e:
        raise ConfigError(
            f"{where} does not speak {security.protocol} ({_words(e)}); check kafka_protocol and the port"
        ) from None
    finally:
        if connection is not None:
            connection.close()


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
