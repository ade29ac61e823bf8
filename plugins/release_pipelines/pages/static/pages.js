// What every page has: Airflow's colours, and links that lead out of the frame.
import { inChosenZone } from "./calendar.js";
import { follow } from "./frame.js";

follow();
inChosenZone();
