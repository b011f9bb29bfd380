"""Whether a policy trained with fewer solver iterations is as good in MuJoCo C."""
