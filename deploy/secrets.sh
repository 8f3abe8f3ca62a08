#!/bin/sh
# Makes the secrets of docker-compose.yml, a random one each, in ./secrets or the folder named; keeps those that are there.
# The folder is its owner's alone. The files in it are readable, since the containers that get one run as several users.
set -eu
folder=${1:-secrets}
[ -d "$folder" ] || mkdir -m 700 "$folder"

keep() {  # NAME VALUE
  if [ -e "$folder/$1" ]; then echo "$folder/$1 is kept"; return; fi
  printf %s "$2" > "$folder/$1"
  chmod 444 "$folder/$1"
  echo "$folder/$1 is made"
}

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

keep influx_user csf
for name in influx_password influx_token http_token webhook_secret grafana_password; do keep $name "$(random)"; done
keep connector_secret "" && chmod 644 "$folder/connector_secret"  # yours to fill: what the system it reads gave you
