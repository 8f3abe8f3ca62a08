"""A real Kafka that speaks TLS and asks for a password, with certificates of an authority made for the test."""

from __future__ import annotations

import re
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from cli.embedded.kafka import EmbeddedKafka, free_port

USER = "csf"
#: looks like nothing else, so that it can be searched for
PASSWORD = "kafka-pa55word-that-must-never-show"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class SecureKafka(EmbeddedKafka):
    """One broker with a SASL_SSL listener; client certificates are welcome and not needed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "kafka", free_port())
        authority = trustme.CA()
        self.ca, self.other_ca = folder / "ca.pem", folder / "other-ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        trustme.CA().cert_pem.write_to_path(self.other_ca)
        self._keystore = folder / "broker.pem"
        certificate = authority.issue_cert("127.0.0.1")
        key = load_pem_private_key(certificate.private_key_pem.bytes(), None)  # Java reads the form PKCS #8 only
        parts = [key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())]
        self._keystore.write_bytes(b"".join([*parts, *(pem.bytes() for pem in certificate.cert_chain_pems)]))

    def _properties(self, controller: int, logs: Path) -> str:
        text = super()._properties(controller, logs)
        text = re.sub(r"PLAINTEXT://127\.0\.0\.1", "SASL_SSL://127.0.0.1", text, count=1)
        text = text.replace("advertised.listeners=PLAINTEXT:", "advertised.listeners=SASL_SSL:")
        text = text.replace("inter.broker.listener.name=PLAINTEXT", "inter.broker.listener.name=SASL_SSL")
        text = text.replace("map=PLAINTEXT:PLAINTEXT,", "map=SASL_SSL:SASL_SSL,")
        plain = (
            f'PlainLoginModule required username="admin" password="admin" user_admin="admin" user_{USER}="{PASSWORD}";'
        )
        return text + "\n".join([
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={self._keystore}",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={self.ca}",
            f"sasl.enabled.mechanisms={','.join(MECHANISMS)}",
            "sasl.mechanism.inter.broker.protocol=PLAIN",
            f"listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.{plain}",
            *(
                f"listener.name.sasl_ssl.scram-sha-{bits}.sasl.jaas.config="
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                for bits in (256, 512)
            ),
            "",
        ])  # fmt: skip

    def _format_arguments(self) -> list[str]:
        found = []
        for bits in (256, 512):
            found += ["--add-scram", f"SCRAM-SHA-{bits}=[name={USER},password={PASSWORD}]"]
        return found

    def environment(
        self, mechanism: str = "PLAIN", *, password: str = PASSWORD, ca: Path | None = None
    ) -> dict[str, str]:
        """Return the settings by which a process of ours reaches it."""
        return {
            "CSF_BOOTSTRAP": self.bootstrap,
            "CSF_KAFKA_PROTOCOL": "SASL_SSL",
            "CSF_KAFKA_MECHANISM": mechanism,
            "CSF_KAFKA_USERNAME": USER,
            "CSF_KAFKA_PASSWORD": password,
            "CSF_KAFKA_CA_FILE": str(ca or self.ca),
        }
