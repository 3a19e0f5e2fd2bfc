"""Drives a SensorThings service with frost_sta_client, the Python client of FROST-Server, as an application would. Prints what it saw as JSON.

Usage: python frost-client.py <service root>      needs: pip install frost-sta-client
"""
import json
import sys

import frost_sta_client as fsc
from geojson import Point

service = fsc.SensorThingsService(sys.argv[1])
seen = {}

unit = fsc.UnitOfMeasurement(name="degree Celsius", symbol="°C", definition="http://www.opengis.net/def/uom/UCUM/Cel")
location = fsc.Location(name="quay", description="the quay", location=Point((14.5, 45.3)), encoding_type="application/geo+json")
thing = fsc.Thing(name="station", description="a station", properties={"owner": "port"}, locations=[location])
service.create(thing)
seen["thing"] = thing.id

sensor = fsc.Sensor(name="probe", description="a probe", encoding_type="application/pdf", metadata="https://example.org/probe.pdf")
observed = fsc.ObservedProperty(name="water temperature", definition="https://example.org/water-temperature", description="of the sea")
datastream = fsc.Datastream(
    name="water",
    description="water at the quay",
    observation_type="http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement",
    unit_of_measurement=unit,
    sensor=sensor,
    observed_property=observed,
    thing=fsc.Thing(id=thing.id),
)
service.create(datastream)
for hour in range(24):
    observation = fsc.Observation(phenomenon_time=f"2026-03-01T{hour:02}:00:00Z", result=10 + hour, datastream=fsc.Datastream(id=datastream.id))
    service.create(observation)

found = service.datastreams().find(datastream.id)
seen["datastream"] = found.name
page = found.get_observations().query().top(5).orderby("phenomenonTime", "desc").list()
seen["newest"] = [one.result for one in page.entities[:5]]
seen["walked"] = sum(1 for _ in page)
warm = found.get_observations().query().filter("result gt 30").count().list()
seen["warm"] = warm.count
expanded = service.things().query().filter("name eq 'station'").expand("Locations,Datastreams($expand=ObservedProperty)").list()
first = expanded.entities[0]
seen["place"] = first.locations.entities[0].location["coordinates"]
seen["property"] = first.datastreams.entities[0].observed_property.name

first.name = "renamed"
service.update(first)
seen["renamed"] = service.things().find(thing.id).name
service.delete(service.things().find(thing.id))
seen["left"] = len(service.observations().query().list().entities)
print(json.dumps(seen))
